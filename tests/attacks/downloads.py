"""Servers that send too much, too little, too slowly, or nonsense; odd files beside a download."""

import contextlib
import functools
import gc
import json
import os
import socket
import tempfile
import threading
import time
import warnings
from itertools import repeat
from pathlib import Path
from unittest import mock

import pytest

from attacks import attack
from discogan_jax.data import download
from discogan_jax.errors import InputError

BODY = bytes(range(256)) * 40
OK = b"HTTP/1.1 200 OK\r\n"
TAG = b'ETag: "1"\r\n'


def left_open(function):
    """Allows for sockets that urllib3 leaves to the garbage collector after malformed answers."""

    @functools.wraps(function)
    def attempt(folder, rng):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            function(folder, rng)
            gc.collect()

    return attempt


@contextlib.contextmanager
def server(*pieces, pause=0.0):
    """Answers each request with some bytes, and closes the connection."""

    def answer(connection):
        with contextlib.suppress(OSError), connection:
            connection.recv(4096)
            for piece in pieces:
                for part in piece if not isinstance(piece, bytes) else [piece]:
                    connection.sendall(part)
                    time.sleep(pause)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=listening.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/x.gz"
        listening.shutdown(socket.SHUT_RDWR)


def fetch(url, target, **options):
    waits = {"sleep": lambda seconds: None, "attempts": 2}
    return download.fetch(url, target, **waits | options)


def refused(folder, *pieces, said=".", left=(), pause=0.0, **options):
    """Downloads what a server sends: an error, no file, and a part only where it is of use."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    target = folder / "x.gz"
    with server(*pieces, pause=pause) as url, pytest.raises(InputError, match=said) as raised:
        fetch(url, target, **options)
    assert "no usable address" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not target.exists()
    found = sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")
    assert left is None or found == sorted(left), found


def chunked(data):
    return b"%x\r\n" % len(data) + data + b"\r\n"


CHUNKED = OK + TAG + b"Transfer-Encoding: chunked\r\n\r\n"
PART = ("x.gz.part", "x.gz.part.json")


@attack("downloads: the body is empty", quick=True)
@left_open
def empty(folder, rng):
    refused(folder, OK + TAG + b"Content-Length: 0\r\n\r\n", said="an empty file")
    refused(folder, CHUNKED + b"0\r\n\r\n", said="an empty file")
    refused(folder, OK + TAG + b"\r\n", said="how long")
    refused(folder, OK + TAG + b"\r\n", said="empty file", expected_bytes=len(BODY))
    refused(folder, b"", said="attempts")


@attack("downloads: the body is cut off", quick=True)
@left_open
def cut(folder, rng):
    half = BODY[: len(BODY) // 2]
    refused(folder, OK + b"\r\n" + half, said="how long the file is")
    length = b"Content-Length: %d\r\n\r\n" % len(BODY)
    refused(folder, OK + length + half, said="attempts")
    refused(folder, CHUNKED + chunked(half), said="attempts", left=PART)


@attack("downloads: lengths that are none", quick=True)
@left_open
def lengths(folder, rng):
    for length in (b"5, 6", b"-5", b"\xb2", b"9" * 5000, b"1e3", b"0x10", b"", b"5;5", b"nan"):
        refused(folder, OK + b"Content-Length: " + length + b"\r\n\r\n" + BODY)
    for size in (b"-5", b"zz", b"", b"f" * 50, b"\xb2", b"-0"):
        refused(folder, CHUNKED, size + b"\r\n" + BODY + b"\r\n0\r\n\r\n", left=None)
    for after in (b"\xb2", b"-1", b"9" * 5000, b"nan", b"Fri, 31 Dec 1999 23:59:59 GMT"):
        head = b"HTTP/1.1 503 No\r\nRetry-After: " + after
        refused(folder, head + b"\r\n\r\n", said="status 503", left=None)


@attack("downloads: a body without an end", quick=True)
@left_open
def endless(folder, rng):
    with mock.patch.object(download, "MAX_BYTES", 1 << 20):
        refused(folder, CHUNKED, repeat(chunked(bytes(1 << 16))), said="without an end")
        said = "answered with 9.* at most 1.0 MiB are fetched"
        refused(folder, OK + b"Content-Length: 9999999\r\n\r\n", said=said)
    refused(folder, OK + TAG + b"\r\n", repeat(BODY), expected_bytes=999, said="attempts")


@attack("downloads: a body without an end", quick=True)
@left_open
def endless_until_the_disk_is_full(folder, rng):
    usage = [mock.Mock(free=1 << 30)] * 3 + [mock.Mock(free=1 << 20)] * 99
    with mock.patch("shutil.disk_usage", side_effect=usage):
        refused(folder, CHUNKED, repeat(chunked(bytes(1 << 16))), said="make room", left=PART)


@attack("downloads: a byte a second", quick=True)
@left_open
def slow_body(folder, rng):
    seconds = iter(range(0, 10**6, 25))
    head = OK + TAG + b"Content-Length: 1000\r\n\r\n"
    options = {"clock": lambda: next(seconds), "pause": 0.01, "left": PART}
    refused(folder, head, repeat(b"."), said="too slow: [0-9]+ bytes came in [0-9]+ s", **options)


@attack("downloads: a byte a second", quick=True)
@left_open
def slow_headers(folder, rng):
    with mock.patch.object(download, "LONGEST_ANSWER", 0.1):
        refused(folder, OK, repeat(b"X"), pause=0.01, said="no whole answer in 0 s", attempts=1)


def whole(folder, note=None, part=None):
    """Downloads all of a file although odd things lie beside it."""
    folder.mkdir(exist_ok=True)
    length = b"Content-Length: %d\r\n\r\n" % len(BODY)
    with server(OK + TAG + length + BODY) as url:
        if note:
            (folder / "x.gz.part").write_bytes(part)
            (folder / "x.gz.part.json").write_text(json.dumps(note).replace("URL", url))
        assert fetch(url, folder / "x.gz").read_bytes() == BODY


@attack("downloads: a part or a note that is none", quick=True)
@left_open
def parts(folder, rng):
    note = {"url": "URL", "validator": '"1"', "bytes": 99}
    whole(folder / "long", note, bytes(100))  # longer than the file is
    odd = [{"bytes": "x"}, {"bytes": []}, {"validator": 3}, {"validator": None}, {"url": [1]}]
    for i, change in enumerate([*odd, {"bytes": -1}, {"bytes": 1.5}]):
        whole(folder / str(i), note | change, bytes(10))


@attack("downloads: pipes and folders beside it", quick=True)
@left_open
def pipes(folder, rng):
    for name, make in (("x.gz", os.mkfifo), ("x.gz", os.mkdir), ("x.gz.part", os.mkdir)):
        place = folder / f"{name} {make.__name__}"
        place.mkdir()
        make(place / name)
        with server(OK + b"Content-Length: 1\r\n\r\n.") as url, pytest.raises(InputError):
            fetch(url, place / "x.gz")
    for name in ("x.gz.part", "x.gz.part.json", ".x.gz.lock"):
        (folder / name).mkdir()
        os.mkfifo(folder / name / name)
        whole(folder / name)
