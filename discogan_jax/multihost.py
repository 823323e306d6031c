"""One run on several processes: how they find each other, agree, and end together."""

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from discogan_jax.errors import EXIT_INPUT, DivergedError, InputError, InterruptedRunError

T = TypeVar("T")

START_SECONDS = 120
"""So long the processes wait for each other at the start."""

HEARTBEAT_SECONDS = 20
"""A process that has not been heard of for so long is taken for dead."""

EXIT_ENDED = 1
"""Exit status where another process has ended; where JAX ends this one itself, it is that, too."""

_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")

# Says its argument once its standard input ends without a byte; deaf to SIGTERM, which schedulers
# send to every process of a job.
_LAST_WORDS = (
    "import os, signal, sys\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "os.read(0, 1) or print(sys.argv[1], file=sys.stderr, flush=True)"
)


@dataclass(frozen=True)
class Place:
    """Which process this is.

    Attributes:
      coordinator: ``HOST:PORT`` of process 0; None where JAX finds it.
      processes: how many there are.
      process: the number of this one.
      found_by: JAX's name for the cluster that says the rest, or ``deactivate``.
    """

    coordinator: str | None
    processes: int
    process: int
    found_by: str


def place(
    coordinator: str | None,
    processes: int | None,
    process: int | None,
    environment: Mapping[str, str],
) -> Place | None:
    """Which process this is, by the flags and what a scheduler put into the environment.

    SLURM (inside `srun`) and Open MPI say everything, an indexed job of Kubernetes the number of
    the process. Of these, a job of one process and a number alone are no reason to look for others.

    Args:
      coordinator: ``--coordinator``, or None.
      processes: ``--processes``, or None.
      process: ``--process``, or None.
      environment: of the process.

    Returns:
      The place, or None for a process that is alone.

    Raises:
      InputError: flags are missing or make no sense.
    """
    given = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    found = _scheduled(environment)
    if all(value is None for value in given.values()):
        if found is None or found.processes == 1:
            return None
        if found.coordinator is None and found.found_by == "deactivate":
            raise InputError(
                "Open MPI started this process but does not say where process 0 is: add "
                "--coordinator=HOST:PORT, the host of process 0 and a free port there"
            )
        return found
    if found is not None:
        processes = found.processes if processes is None else processes
        process = found.process if process is None else process
    elif process is None and "JOB_COMPLETION_INDEX" in environment:
        process = int(environment["JOB_COMPLETION_INDEX"])
    known = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    if missing := [name for name, value in known.items() if value is None]:
        raise InputError(
            "--coordinator, --processes and --process belong together; missing: "
            f"{', '.join(missing)}. Each process gets the same --coordinator=HOST:PORT and "
            "--processes=N, and a --process=I of its own, from 0"
        )
    assert coordinator is not None
    assert processes is not None
    assert process is not None
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise InputError(
            f"--coordinator={coordinator}: it must be HOST:PORT, the host of process 0 and a free "
            "port there"
        )
    if processes < 1 or not 0 <= process < processes:
        raise InputError(
            f"--processes={processes} --process={process}: of N processes, each has a number from "
            "0 to N - 1"
        )
    return None if processes == 1 else Place(coordinator, processes, process, "deactivate")


def _scheduled(environment: Mapping[str, str]) -> Place | None:
    """What SLURM or Open MPI say."""
    if all(name in environment for name in _SLURM):
        count, number = environment["SLURM_NTASKS"], environment["SLURM_PROCID"]
        return Place(None, int(count), int(number), "slurm")
    if "OMPI_COMM_WORLD_SIZE" in environment:
        count, number = environment["OMPI_COMM_WORLD_SIZE"], environment["OMPI_COMM_WORLD_RANK"]
        # Open MPI 5 does not have it any more; JAX finds process 0 by it.
        named = "OMPI_MCA_orte_hnp_uri" in environment
        return Place(None, int(count), int(number), "ompi" if named else "deactivate")
    return None


@contextmanager
def joined(here: Place | None) -> Iterator[None]:
    """Joins the processes of a run; at the end they wait for each other.

    Must come before JAX is asked for its devices. Errors that all processes raise together
    (`DivergedError`, `InterruptedRunError`) pass through. After any other one this process is
    ended right here, since the others would wait for it forever: JAX notices on each of them.

    Args:
      here: from `place`; nothing is done for None.

    Raises:
      InputError: the others were not found.
    """
    if here is None:
        yield
        return
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            here.coordinator,
            None if here.coordinator is None else here.processes,
            None if here.coordinator is None else here.process,
            cluster_detection_method=here.found_by,
            initialization_timeout=START_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"process {here.process} of {here.processes} did not find the others within "
            f"{START_SECONDS} seconds ({str(error).splitlines()[0]}): start all of them, with the "
            "same --coordinator, an address of process 0 that the others can reach"
        ) from error
    last_words = _last_words(here)
    try:
        yield
    except (DivergedError, InterruptedRunError):
        _leave(last_words)
        raise
    except BaseException as error:
        if _is_of_jax(error):
            # Most likely another process has ended; JAX notices, and ends this one here.
            time.sleep(2 * HEARTBEAT_SECONDS)
        last_words.communicate(b".")
        _end(error)
    _leave(last_words)


def _end(error: BaseException) -> None:
    """Ends the process without waiting for the others."""
    code = EXIT_ENDED
    if isinstance(error, InputError):
        print(error, file=sys.stderr)
        code = EXIT_INPUT
    elif isinstance(error, KeyboardInterrupt):
        code = 128 + signal.SIGINT
    else:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _last_words(here: Place) -> "subprocess.Popen[bytes]":
    """A process that speaks for this one where JAX ends it without asking anybody."""
    message = (
        f"Process {here.process} of {here.processes}: a process of this run has ended, and none "
        "can go on without it. Start all of them again: they resume from the last checkpoint."
    )
    return subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", _LAST_WORDS, message],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _leave(last_words: "subprocess.Popen[bytes]") -> None:
    jax.distributed.shutdown()
    last_words.communicate(b".")


def _is_of_jax(error: BaseException | None) -> bool:
    """Whether an error comes from a computation, where those of the network come to light."""
    while error is not None:
        if isinstance(error, jax.errors.JaxRuntimeError):
            return "RESOURCE_EXHAUSTED" not in str(error)
        error = error.__cause__ or error.__context__
    return False


def is_chief() -> bool:
    """Whether this is process 0, the one that writes and prints."""
    return jax.process_index() == 0


def agreed(value: int) -> int:
    """The largest of all processes' values; returns once all have asked."""
    if jax.process_count() == 1:
        return value
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


def of_chief(value: int | None) -> int | None:
    """Process 0's value; None counts as one, negative numbers do not."""
    if jax.process_count() == 1:
        return value
    sent = multihost_utils.broadcast_one_to_all(np.int32(-1 if value is None else value))
    return None if sent < 0 else int(sent)


def chief_first(work: Callable[[], T]) -> T:
    """Works on process 0, then on the others, which find on a shared disk what it made there.

    Raises:
      InputError: on all processes, where process 0 raises one.
    """
    if jax.process_count() == 1:
        return work()
    refused: InputError | None = None
    result: Any = None
    if is_chief():
        try:
            result = work()
        except InputError as error:
            refused = error
    if agreed(int(refused is not None)):
        raise refused or InputError("process 0 has refused the run: see what it says")
    return result if is_chief() else work()
