"""Downloads one large file over HTTP, resuming where earlier attempts and processes stopped."""

import contextlib
import errno
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from absl import logging
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema, RequestException
from urllib3.exceptions import HTTPError

from discogan_jax import files, units
from discogan_jax.data.progress import progress_bar
from discogan_jax.errors import InputError, causes

# Bytes: read at once, left free on the disk, and added by an attempt for the count of failures to
# start anew.
CHUNK, SPARE, PROGRESS = 1 << 20, 16 << 20, 1 << 20

# Seconds: to connect and of silence while reading, and at most between two attempts.
TIMEOUTS, LONGEST_WAIT = (10.0, 60.0), 60.0

# Seconds until the headers of a reply are there, all of them; bytes a second that have to come, on
# average over a minute; and of the largest file that is fetched (published ones have 8 GiB).
LONGEST_ANSWER, SLOWEST, MINUTE, MAX_BYTES = 120.0, 1 << 10, 60.0, 64 << 30

# HTTP statuses worth another attempt, beside every 5xx.
TRANSIENT = frozenset({408, 425, 429})


class _FinalError(Exception):
    """The download failed; the message says how, with the address as its subject.

    An attempt that may succeed when it is repeated fails with a `RequestException`.
    """


class _WrongError(_FinalError):
    """Another file came than was wanted: no byte of it is kept."""


def fetch(
    url: str,
    target: Path,
    *,
    expected_bytes: int | None = None,
    attempts: int = 5,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    magic: bytes = b"",
    by_hand: str = "",
) -> Path:
    """Downloads `url` to `target`.

    The bytes are collected in `target.part`, beside `target.part.json` with the server's version of
    the file; only a complete file of the right size is renamed to `target`. A `target` that exists
    (with `expected_bytes`, if given) is left alone.

    After a failure the part stays where another call can go on with it: the server has named the
    version of the file, and the connection broke or was too slow, the server refused, or the disk
    is full. Every other part is removed.

    Args:
      url: the address.
      target: path of the complete file; its folder is created.
      expected_bytes: size of the file, where it is known beforehand.
      attempts: number of failures in a row, without a mebibyte of progress between them, to give
        up after.
      sleep: waits for some seconds.
      clock: returns the time in seconds.
      magic: the bytes that the file begins with; they tell it from a log-in page.
      by_hand: the end of the message of a failure: how to get the file otherwise.

    Returns:
      `target`.

    Raises:
      InputError: no network, a refusal, a wrong file or a full disk; the message says what to do.
    """
    by_hand = by_hand or f"Fetch {url} by hand and save it as {target}."
    try:
        if target.exists():
            files.require_regular(target)
        with files.locked(target):
            if not target.is_file() or expected_bytes not in (None, target.stat().st_size):
                download = _Download(url, target, expected_bytes, magic, clock)
                try:
                    _persist(download, attempts, sleep)
                except _WrongError:
                    download.drop()
                    raise
                finally:
                    download.drop_unless_it_can_be_resumed()
    except _FinalError as error:
        raise InputError(f"{url} {error}. {by_hand}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise files.no_room(target.parent, "more room", target.name) from error
        raise InputError(f"{target} cannot be written: {error}. {by_hand}") from error
    return target


def _persist(download: "_Download", attempts: int, sleep: Callable[[float], object]) -> None:
    """Repeats attempts, each after twice the wait of the one before, until one succeeds."""
    failures, best = 0, download.size
    while True:
        try:
            return download.attempt()
        # What servers send makes requests raise other errors of values.
        except (RequestException, HTTPError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            if isinstance(error, InvalidURL | InvalidSchema | MissingSchema):
                raise _FinalError(f"is no usable address: {error}") from error
            failures += 1
            # Against the best size, not the last: a server that always starts anew must run out.
            if download.size >= best + PROGRESS:
                failures, best = 1, download.size
            reason = next(causes(error))  # requests nests it in messages of its own machinery
            if failures >= attempts:
                message = f"could not be fetched ({failures} attempts; the last: {reason})"
                raise _FinalError(message) from error
            # As long as the server asks for, if it does.
            headers = getattr(getattr(error, "response", None), "headers", {})
            asked = _number(headers.get("Retry-After")) or 0
            wait = min(max(2.0 ** (failures - 1), asked), LONGEST_WAIT)
            logging.warning("%s: %s; trying again in %.0f s", download.url, reason, wait)
            sleep(wait)


class _Download:
    """The unfinished file, what is known of its origin, and one attempt to finish it."""

    def __init__(
        self,
        url: str,
        target: Path,
        expected: int | None,
        magic: bytes,
        clock: Callable[[], float],
    ):
        self.url, self.target, self.expected, self.magic = url, target, expected, magic
        self.clock = clock
        self.part, self.note = (target.with_name(target.name + x) for x in (".part", ".part.json"))

    @property
    def size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def drop(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def drop_unless_it_can_be_resumed(self) -> None:
        if not self._origin():
            self.drop()

    def attempt(self) -> None:
        """Makes one request, for what is missing; returns only when the target is complete."""
        origin = self._origin()
        # Without the server's version of the file, a resume could mix two.
        if not origin or self.size > (origin["bytes"] or MAX_BYTES):
            self.drop()
        if self.part.exists():
            files.require_regular(self.part)
        size = self.size
        # An earlier process may have stopped between the last byte and the rename.
        if size and size == origin.get("bytes"):
            return self._finish(size)
        headers = {"Accept-Encoding": "identity"}
        if size:
            headers |= {"Range": f"bytes={size}-", "If-Range": str(origin["validator"])}
        with self._answer(headers) as reply:
            size = self._resumed(reply, size, origin)
            length = _number(reply.headers.get("Content-Length"))
            total = self.expected if length is None else size + length
            self._check_length(reply, size, total)
            if not size:
                self.drop()
                origin = {"url": self.url, "validator": _validator(reply), "bytes": total}
                files.write_json(self.note, origin)
            received = self._receive(reply, size, total)
        return self._finish(received if total is None else total)

    def _answer(self, headers: dict[str, str]) -> requests.Response:
        """Asks the server; its headers may come a byte at a time, but not for long."""
        found: queue.SimpleQueue[requests.Response | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                found.put(requests.get(self.url, headers=headers, stream=True, timeout=TIMEOUTS))
            except Exception as error:
                found.put(error)

        threading.Thread(target=ask, daemon=True).start()
        reply = None
        with contextlib.suppress(queue.Empty):
            reply = found.get(timeout=LONGEST_ANSWER)
        if reply is None:
            raise RequestException(f"no whole answer in {LONGEST_ANSWER:.0f} s")
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _check_length(self, reply: requests.Response, size: int, total: int | None) -> None:
        """Refuses a file of another or too large a size, or that would seem whole when cut off."""
        if self.expected not in (None, total):
            came = f"answered with a file of {total} bytes, and not {self.expected}"
            raise _WrongError(f"{came}: another version, or a fault of the server")
        if total is None and not reply.raw.chunked:
            problem = "does not say how long the file is"
            raise _FinalError(f"{problem}: one that is cut off could not be told from all of it")
        if total is not None:
            if total > MAX_BYTES:
                most = units.size(MAX_BYTES)
                raise _WrongError(f"answered with {units.size(total)}; at most {most} are fetched")
            files.require_room(self.part.parent, total - size + SPARE, self.target.name)

    def _origin(self) -> dict[str, Any]:
        """Reads the note; returns {} if it does not allow a resume."""
        shape = {"url": str, "validator": str, "bytes": (int, type(None))}
        origin = files.find_json(self.note, shape) or {}
        return origin if origin.get("url") == self.url and origin["validator"] else {}

    def _resumed(self, reply: requests.Response, size: int, origin: dict[str, Any]) -> int:
        """Checks status and headers; returns how many of the bytes at hand the reply continues."""
        status = reply.status_code
        if status in TRANSIENT or status >= 500:
            raise RequestException(f"status {status}", response=reply)
        if size and status in (206, 416):
            span, total = reply.headers.get("Content-Range", ""), origin.get("bytes")
            ends = ("/*", f"/{total}") if total else ""
            same = span.startswith(f"bytes {size}-") and span.endswith(ends)
            # A server may ignore If-Range; its own tag then shows that the file is another.
            if not same or _validator(reply) not in ("", origin["validator"]):
                self.drop()
                reason = "the server did not resume with the rest of the same version of the file"
                raise RequestException(reason)
            return size
        if status != 200:
            raise _FinalError(f"answered status {status}")
        return 0

    def _receive(self, reply: requests.Response, size: int, total: int | None) -> int:
        """Appends the body to the part, at most a chunk beyond the total; returns the new size.

        Raises:
          _WrongError: it is not what is wanted, or has no end.
          RequestException: it comes too slowly.
          InputError: the disk is full.
        """
        logging.info("fetching %s (%s bytes, %d at hand)", self.url, total, size)
        bar = progress_bar(self.target.name, total, initial=size)
        head, looked, had = b"" if not size else self.magic, self.clock(), size
        with self.part.open("ab") as file, bar:
            # As it comes, and undecoded: some servers declare a .gz file as encoded.
            while chunk := reply.raw.read1(CHUNK, decode_content=False):
                head = (head + chunk)[: len(self.magic)] if len(head) < len(self.magic) else head
                if not self.magic.startswith(head):
                    raise _WrongError(f"answered with something else (it begins {chunk[:16]!r})")
                if total is None and size // PROGRESS != (size + len(chunk)) // PROGRESS:
                    files.require_room(self.part.parent, SPARE, self.target.name)
                file.write(chunk)
                size += len(chunk)
                bar.update(len(chunk))
                if size > MAX_BYTES:
                    raise _WrongError(f"sends more than {units.size(MAX_BYTES)}, without an end")
                if total is not None and size > total:
                    break
                if (now := self.clock()) - looked >= MINUTE:
                    if size - had < SLOWEST * (now - looked):
                        slow = f"{units.size(size - had)} came in {now - looked:.0f} s"
                        raise RequestException(f"too slow: {slow}")
                    looked, had = now, size
            file.flush()
            os.fsync(file.fileno())
        return size

    def _finish(self, total: int) -> None:
        """Renames the part if it is complete."""
        size = self.size
        if not size:
            raise _WrongError("answered with an empty file")
        if size == total and self.expected in (None, size):
            self.part.replace(self.target)
            self.note.unlink(missing_ok=True)
            return
        if size >= total:  # no byte of it can be trusted
            self.drop()
        raise RequestException(f"{size} bytes came instead of {self.expected or total}")


def _number(text: str | None) -> int | None:
    """Returns the number in a header; None for anything else, and for absurd ones."""
    return int(text) if text and text.isdecimal() and len(text) < 19 else None


def _validator(reply: requests.Response) -> str:
    """Returns the tag of this version of the file for If-Range, which takes no weak tags; or ''."""
    tag = reply.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else reply.headers.get("Last-Modified", "")
