"""Prepares pictures in processes of their own, which are ended if a picture takes too long."""

import contextlib
import os
import resource
import subprocess
import sys
import weakref
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from discogan_jax import units
from discogan_jax.images import MAX_PIXELS, PictureError, Preparation, Size

SECONDS = 10.0
"""Time within which a picture has to be prepared; the largest ones that are read take up to 7."""

MEMORY = (1 << 30) + 50 * MAX_PIXELS
"""Bytes of address space of such a process; the decoders take up to 40 a pixel."""

Prepared = tuple[UInt8[np.ndarray, "H W C"], Size]


class Decoders:
    """Prepares pictures, each thread that asks for it in a process of its own."""

    def __init__(self) -> None:
        self._idle = [_Process()]  # the first picture does not wait for its start

    def prepare(self, preparation: Preparation, picture: bytes) -> Prepared:
        """Reads a picture and prepares it.

        Args:
          preparation: what is done to it.
          picture: the bytes of a file.

        Returns:
          The prepared picture, and the size of the one in the file.

        Raises:
          PictureError: it cannot be read, takes too long or too much memory, or ends its decoder.
        """
        process = self._take()
        answer = process.ask(preparation, picture)
        if process.alive:
            self._idle.append(process)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _take(self) -> "_Process":
        """Takes an idle process, unless the system has ended it, or starts one."""
        with contextlib.suppress(IndexError):
            while True:
                if (process := self._idle.pop()).alive:
                    return process
        return _Process()


class _Process:
    """A process that prepares one picture after the other, and ends with this object."""

    def __init__(self) -> None:
        # Not by `multiprocessing`, whose processes import what this one has as its main module.
        self._connection, theirs = Pipe()
        with theirs:
            fd = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(fd)],
                pass_fds=[fd],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # libraries write there what damaged files tell them to
                process_group=0,  # a terminal's Ctrl-C is for the server, which ends it
            )
        self._end = weakref.finalize(self, _end, self._process, self._connection)

    @property
    def alive(self) -> bool:
        return self._end.alive and self._process.poll() is None

    def ask(self, preparation: Preparation, picture: bytes) -> Prepared | Exception:
        """Returns what the process answers; it is ended if there is no answer in time."""
        problem = "ended its decoder, so it is damaged; replace it."
        with contextlib.suppress(EOFError, OSError):
            self._connection.send((preparation, picture))
            if self._connection.poll(SECONDS):
                return self._connection.recv()
            problem = f"takes more than {SECONDS:g} seconds to decode; scale it down first."
        self._end()
        return PictureError(f"The file {problem}")


def _end(process: subprocess.Popen, connection: Connection) -> None:
    process.kill()
    process.wait()
    connection.close()


def _main(fd: int) -> None:
    """Prepares what comes through a connection, until its other end is closed."""
    with contextlib.suppress(ValueError, OSError):  # not everywhere
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        # Where memory is lacking, Linux ends this process before the server.
        Path("/proc/self/oom_score_adj").write_text("1000")
    with Connection(fd) as connection, contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(_prepared(*connection.recv()))


def _prepared(preparation: Preparation, picture: bytes) -> Prepared | Exception:
    try:
        loaded = preparation.load(picture)
        return preparation.apply(loaded), loaded.size
    except MemoryError:
        limit = units.size(MEMORY)
        return PictureError(f"The file takes more than {limit} to decode; scale it down first.")
    except Exception as error:
        return error


if __name__ == "__main__":
    _main(int(sys.argv[1]))
