"""Fetches one large file over HTTP so that what stands at its name is always whole."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import requests
from absl import logging
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from discogan_jax import files
from discogan_jax.errors import InputError

CHUNK = 1 << 20
LONGEST_WAIT = 60.0  # seconds between two attempts
PROGRESS = 1 << 20  # an attempt that brought this much more does not use up the others
SPARE = 16 << 20  # bytes that a download leaves free on the disk
PASSING = frozenset({408, 425, 429})  # HTTP statuses worth another try, beside every 5xx


class _AgainError(Exception):
    """An attempt failed in a way that the next one may not."""

    def __init__(self, message: str, wait: float = 0.0):
        super().__init__(message)
        self.wait = wait


def fetch(
    url: str,
    target: Path,
    *,
    expected_bytes: int | None = None,
    attempts: int = 5,
    session: requests.Session | None = None,
    sleep: Callable[[float], object] = time.sleep,
    timeout: tuple[float, float] = (10.0, 60.0),
    magic: bytes = b"",
    by_hand: str = "",
) -> Path:
    """Downloads `url` to `target`, resuming what an earlier process left.

    The bytes gather in `target.part`, with a note of the server's version of the file in
    `target.part.json`; only a whole file of the right size is renamed to `target`. A `target`
    that is already there (with `expected_bytes`, if given) is left alone.

    Args:
        url: what to fetch.
        target: where the whole file shall stand; its folder is made.
        expected_bytes: the size that the file must have, where it is known beforehand.
        attempts: failures in a row, without a mebibyte of progress between them, before giving up.
        session: asks the server; a fresh one if None.
        sleep: waits that many seconds (tests pass their own).
        timeout: seconds to connect, and seconds of silence while reading.
        magic: what the file must begin with; catches log-in pages that answer for the server.
        by_hand: ends the message of a failure; a generic sentence if empty.

    Returns:
        `target`.

    Raises:
        InputError: no network, a refusal, a wrong file or no room on the disk, and what to do.
    """
    target = Path(target)
    by_hand = by_hand or f"Fetch {url} by hand and save it as {target}."
    try:
        with files.locked(target), contextlib.ExitStack() as stack:
            if target.is_file() and expected_bytes in (None, target.stat().st_size):
                return target
            session = session or stack.enter_context(requests.Session())
            part = _Part(url, target, expected_bytes, magic, by_hand)
            _persist(lambda: part.attempt(session, timeout), part, attempts, sleep)
            part.path.replace(target)
            part.note.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise files.no_room(target.parent, "more room", target.name) from error
        raise InputError(f"{target} cannot be written: {error}. {by_hand}") from error
    return target


def _persist(
    attempt: Callable[[], None],
    part: _Part,
    attempts: int,
    sleep: Callable[[float], object],
) -> None:
    """Repeats `attempt`, waiting twice as long each time, until it returns or none is left."""
    failures, best = 0, part.have()
    while True:
        try:
            return attempt()
        # ValueError: requests' word for an address that no attempt can make right.
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{part.url} is no usable address: {error}. {part.by_hand}") from error
        except (_AgainError, requests.RequestException, HTTPError) as error:
            failures += 1
            # High-water mark, not the last size: a server that always starts anew must run out.
            if part.have() >= best + PROGRESS:
                failures, best = 1, part.have()
            if failures >= attempts:
                raise InputError(
                    f"{part.url} could not be fetched ({failures} attempts; the last: "
                    f"{_brief(error)}). {part.by_hand}"
                ) from error
            wait = min(max(2.0 ** (failures - 1), getattr(error, "wait", 0.0)), LONGEST_WAIT)
            logging.warning("%s: %s; trying again in %.0f s", part.url, _brief(error), wait)
            sleep(wait)


def _brief(error: Exception) -> str:
    """What went wrong, for people: requests nests the cause in its own machinery."""
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    text = str(error)
    if "NameResolutionError" in text or "Failed to resolve" in text:
        return "the server's name could not be resolved: is there a network?"
    if isinstance(error, requests.ConnectionError) and "Max retries" in text:
        return "no connection to the server"
    return text


class _Part:
    """The unfinished file, what is known of its origin, and one attempt to finish it."""

    def __init__(self, url: str, target: Path, expected: int | None, magic: bytes, by_hand: str):
        self.url, self.name, self.expected = url, target.name, expected
        self.magic, self.by_hand = magic, by_hand
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")

    def have(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _origin(self) -> dict[str, object]:
        """The note, or {} where none can be trusted for a resume."""
        try:
            origin = json.loads(self.note.read_text())
        except (OSError, ValueError):
            return {}
        whole = isinstance(origin, dict) and origin.get("url") == self.url
        return origin if whole and origin.get("validator") else {}

    def attempt(self, session: requests.Session, timeout: tuple[float, float]) -> None:
        """One request; returns only when the part file is whole and on the disk."""
        origin, have = self._origin(), self.have()
        if have and not origin:  # without the server's version, a resume could mix two files
            self.drop()
            have = 0
        if have and have == origin.get("bytes"):  # cut off between the last byte and the rename
            return self._finish(have)
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": str(origin["validator"])}
        with session.get(self.url, headers=headers, stream=True, timeout=timeout) as reply:
            have = self._check(reply, have, origin)
            length = reply.headers.get("Content-Length", "")
            total = have + int(length) if length.isdigit() else None
            if total is not None and self.expected not in (None, total):
                raise InputError(
                    f"{self.url} is {total} bytes there, but {self.expected} are expected: it is"
                    f" another file. {self.by_hand}"
                )
            self._receive(reply, have, total if total is not None else self.expected)
        return None

    def _check(self, reply: requests.Response, have: int, origin: dict[str, object]) -> int:
        """Judges status and headers; returns how many of the bytes at hand go on being used."""
        status = reply.status_code
        if status in PASSING or status >= 500:
            after = reply.headers.get("Retry-After", "")
            raise _AgainError(f"status {status}", float(after) if after.isdigit() else 0.0)
        if status == 416 and have:
            self.drop()
            raise _AgainError("the server has no more of this file than the part at hand")
        if status == 206 and have:
            span = re.match(r"bytes (\d+)-(\d+)/(\d+|\*)$", reply.headers.get("Content-Range", ""))
            total = origin.get("bytes")
            same = span and int(span[1]) == have and (not total or span[3] in ("*", str(total)))
            # A server may ignore If-Range; its own tag then tells that the file is another.
            if not same or _validator(reply) not in ("", origin["validator"]):
                self.drop()
                raise _AgainError("the server resumed with another part or version of the file")
            return have
        if status != 200:
            raise InputError(f"{self.url} answered status {status}. {self.by_hand}")
        return 0

    def _receive(self, reply: requests.Response, have: int, total: int | None) -> None:
        if total is not None:
            files.require_room(self.path.parent, total - have + SPARE, self.name)
        if not have:
            self.drop()
            origin = {"url": self.url, "validator": _validator(reply), "bytes": total}
            self.note.write_text(json.dumps(origin))
        with (
            self.path.open("ab") as file,
            tqdm(
                desc=self.name,
                total=total,
                initial=have,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                disable=None,  # no bar where the output is no terminal
            ) as bar,
        ):
            logging.info("fetching %s (%s bytes, %d at hand)", self.url, total, have)
            # Undecoded: some servers declare a .gz file as an encoding of its content.
            for chunk in reply.raw.stream(CHUNK, decode_content=False):
                if not have and not self.magic.startswith(chunk[: len(self.magic)]):
                    raise InputError(
                        f"{self.url} answered with something else (it begins {chunk[:16]!r})."
                        f" {self.by_hand}"
                    )
                file.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))
                if total is not None and have > total:
                    break
            file.flush()
            os.fsync(file.fileno())
        self._finish(have if total is None else total)

    def _finish(self, total: int) -> None:
        have = self.have()
        if have == total and self.expected in (None, have):
            return
        if have > total or have == total:  # no byte of it can be trusted
            self.drop()
        raise _AgainError(f"{have} bytes came instead of {self.expected or total}")


def _validator(reply: requests.Response) -> str:
    """What names this version of the file in If-Range, which takes no weak tags; or ''."""
    tag = reply.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else reply.headers.get("Last-Modified", "")
