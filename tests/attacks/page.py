"""Floods, bombs, guesses and what is no HTTP, at the page of `discogan serve`."""

import contextlib
import functools
import http.client
import io
import logging
import re
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import runs_here
from PIL import Image

from attacks import attack, made, run

HOST, ELSEWHERE = "127.0.0.1", "127.0.0.2"
TRANSLATE = "/translate?direction=ab"
PASSWORD = "correct horse"
WAIT = 90


# Visitors.


def visit(port, path=TRANSLATE, body=None, source=HOST, **headers):
    """Sends a request; returns the status, the text and the seconds that it took."""
    start = time.monotonic()
    connection = http.client.HTTPConnection(HOST, port, WAIT, (source, 0))
    with contextlib.closing(connection):
        method = "GET" if path == "/about" else "POST"
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    return answer.status, text, time.monotonic() - start


def innocent(port, source=HOST, **headers):
    """Translates a usual picture; returns the status and the seconds."""
    status, _, seconds = visit(port, TRANSLATE, picture(), source, **headers)
    return status, seconds


def log_in(port, password, source=HOST):
    """Tries a password; returns the status and the seconds."""
    status, _, seconds = visit(port, "/login", f"password={password}", source)
    return status, seconds


def connect(port, first=b"", source=HOST):
    """Opens a connection, sends something and nothing more."""
    connection = socket.create_connection((HOST, port), WAIT, (source, 0))
    with contextlib.suppress(OSError):
        connection.sendall(first)
    return connection


def answer(port, content, pause=0.25):
    """Sends some bytes; returns the status, "" if the connection was closed, None if it waits."""
    with connect(port, content) as connection:
        connection.settimeout(pause)
        try:
            return (*connection.recv(100).split(), b"", b"")[1].decode()
        except TimeoutError:
            return None
        except ConnectionError:
            return ""


@contextlib.contextmanager
def flood(port, number, first=b"", source=ELSEWHERE):
    """Keeps many connections open that have sent something and send nothing more."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(port, first, source)) for _ in range(number)]


# Contents.


@functools.cache
def picture(size=256):
    """A usual picture."""
    pixels = np.random.default_rng(0).integers(256, size=(size, size, 3), dtype=np.uint8)
    return _encoded(Image.fromarray(pixels), "PNG")


@functools.cache
def bomb(side=8900, scans=100):
    """A small JPEG of many pixels, over which a decoder goes once for each of its scans."""
    blank = Image.new("L", (side, side))
    data = _encoded(blank, "JPEG", progressive=True).removesuffix(b"\xff\xd9")
    last = data[data.rindex(b"\xff\xda") :]
    return data + last * (scans - data.count(b"\xff\xda")) + b"\xff\xd9"


def _encoded(image, kind, **settings):
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def head(length, path=TRANSLATE):
    """The head of a request that says how long its body is."""
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


_METHODS = b"GET HEAD POST PUT DELETE OPTIONS PATCH TRACE CONNECT PRI get BREW G\0T".split(b" ")
_PATHS = [
    *(
        b"/ /about /translate /translate?direction=ab /translate?direction=%ff /about/ /login"
    ).split(),
    *(b"/logout /example/a/0 /example/%00 //about /../about /%2e%2e/about /\xff about *").split(),
    *(b"localhost:80 http://evil.example/about /translate?direction=ab&step=%d9%a3").split(),
    *(b"", b"/?" + b"a&" * 3000, b"/translate?direction=ab&step=-" + b"9" * 4299),
]
_VERSIONS = [b"HTTP/1.1"] * 5 + [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/11", b"", b"FOO"]
_HEADERS = [
    *(b"Content-Length: 0|Content-Length: 5|Content-Length: 5, 5|Content-Length: +5").split(b"|"),
    *(b"Content-Length: 18446744073709551616|Content-Length: \xb2|Content-Length: 6").split(b"|"),
    *(b"Transfer-Encoding: chunked|Transfer-Encoding: chunked|Connection: close").split(b"|"),
    *(b"Transfer-Encoding: gzip, chunked|Transfer-Encoding: \x0bchunked|Cookie: a").split(b"|"),
    *(b"Expect: 100-continue|Expect: nonsense|Upgrade: h2c\r\nConnection: Upgrade").split(b"|"),
    *(b"Upgrade: websocket\r\nConnection: upgrade|Cookie: =;;==;\xff|Origin: null").split(b"|"),
    *(b"Origin: \xff|Origin: http://[::1|Sec-Fetch-Site: \xff|Content-Type: \xff").split(b"|"),
    *(b"Content-Encoding: gzip|Range: bytes=0-1|Host: evil.example|Host: \xff|Host:").split(b"|"),
    *(b"Host: localhost:99999999| folded: x|X: a\r\n b|NoColon|: empty|X\0: y|X: \0").split(b"|"),
    *(b"X: \xff", b"X: " + b"y" * 70_000, b"Cookie: " + b"a=b;" * 9000),
]
_BODIES = [
    *(b"|hello|5\r\nhello\r\n0\r\n\r\n|5\r\nhello\r\n|zz\r\n|5\r\nhelloXX0\r\n\r\n").split(b"|"),
    *(b"-5\r\nhello\r\n|FFFFFFFFFFFFFFFFFFFFFFFF\r\nhello|0\r\nX\0: y\r\n\r\n").split(b"|"),
    *(b"password=%ff%00|GARBAGE\r\n\r\n|GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").split(b"|"),
    b"5;" + b"x" * 70_000 + b"\r\nhello\r\n0\r\n\r\n",
]
_BITS = [b"\0", b"\xff", b"%", b"%zz", b"..", b"\\", b"\r", b"\n", b":", b"9" * 400, b"\xd9\xa3"]


def malformed(rng):
    """Makes a request of parts that are odd each or together."""

    def one(choices):
        return choices[rng.integers(len(choices))]

    host = [b"Host: localhost"] * (rng.random() < 0.9)
    lines = [b" ".join(map(one, (_METHODS, _PATHS, _VERSIONS))), *host]
    lines += [one(_HEADERS) for _ in range(rng.integers(4))]
    request = b"\r\n".join(lines) + b"\r\n\r\n" + one(_BODIES)
    if rng.random() < 0.3:
        at = rng.integers(len(request))
        request = request[:at] + one(_BITS) + request[at + rng.integers(2) :]
    return request if rng.random() < 0.9 else request[: rng.integers(len(request))]


# Servers.


@contextlib.contextmanager
def page(password=None, **limits):
    """Serves the page of a run in this process; nothing may be logged.

    Args:
      password: what visitors have to type.
      limits: values of the modules of `discogan_jax.serve`, as `module__NAME`.
    """
    pytest.importorskip("uvicorn", reason="the page needs the extra 'serve'")
    from served_here import served

    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        for name, value in limits.items():
            patch.setattr(f"discogan_jax.serve.{name.replace('__', '.')}", value)
        for name in ("uvicorn.error", "asyncio"):
            logging.getLogger(name).addHandler(handler)
            stack.callback(logging.getLogger(name).removeHandler, handler)
        with served(_cache(), password) as url:
            yield int(url.rpartition(":")[2])
    assert logged.getvalue() == ""


@functools.cache
def _cache():
    from discogan_jax.serve.checkpoints import CheckpointCache

    return CheckpointCache(run())


@contextlib.contextmanager
def process(password="", files=256):
    """Serves the page of a run in a process that may open few files; nothing may be logged.

    Yields:
      The port, and the file that its standard error goes to.
    """
    serve = [sys.executable, "-m", "discogan_jax.cli", "serve", run(), "--port", _free_port()]
    log = made() / "page.log"
    with log.open("wb") as errors:
        serving = subprocess.Popen(
            ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *map(str, serve)],
            env=runs_here.environment(made() / "xla") | {"DISCOGAN_PASSWORD": password},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with serving:
        line = next(line for line in serving.stdout if "http" in line)
        try:
            yield int(re.search(r":(\d+) ", line)[1]), log
        finally:
            serving.terminate()


def _free_port():
    with socket.create_server((HOST, 0)) as place:
        return place.getsockname()[1]


# Attacks.


def tell(port, rng, number):
    """Sends odd requests; none is the server's mistake. Returns how many had which answer."""
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda x: answer(port, x), [malformed(rng) for _ in range(number)]))
    assert not any(status and status.startswith("5") for status in told)
    return Counter(told)


@attack("page: odd requests", tries=20, quick=True)
def odd_requests(folder, rng):
    with page() as port:
        told = tell(port, rng, 60)
        assert told["400"] > 20
        assert innocent(port)[0] == 200


@attack("page: odd requests", tries=20)
def odd_requests_before_the_password(folder, rng):
    with page(PASSWORD) as port:
        tell(port, rng, 60)
        assert log_in(port, PASSWORD, ELSEWHERE)[0] == 303


@attack("page: pictures that take long", quick=True)
def a_slow_picture(folder, rng):
    with page() as port:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("discogan_jax.serve.decoder.SECONDS", 0.0)
            status, text, _ = visit(port, TRANSLATE, bomb(2000))
        assert (status, "takes more than 0 seconds" in text) == (422, True)
        assert innocent(port)[0] == 200


@attack("page: pictures that take long", tries=3)
def bombs_from_one_address(folder, rng):
    with process() as (port, log), ThreadPoolExecutor(16) as pool:
        innocent(port)
        bombs = [pool.submit(visit, port, TRANSLATE, bomb(), ELSEWHERE) for _ in range(16)]
        time.sleep(1)
        served = [innocent(port) for _ in range(5)]
        assert {status for status, _ in served} == {200}
        assert max(seconds for _, seconds in served) < 5
        # A fast machine reads them within the time that a picture may take.
        assert {x.result()[0] for x in bombs} <= {200, 422, 503}
        assert not log.stat().st_size


@attack("page: decoders that die", quick=True)
def a_dead_decoder(folder, rng):
    with page() as port:
        for _ in range(2):
            assert innocent(port)[0] == 200
            for decoder in _cache()._decoders._idle:
                decoder._process.kill()
                decoder._process.wait()


@attack("page: idle connections", quick=True)
def idle_connections(folder, rng):
    with page(connection__MOST=8) as port:
        kept = http.client.HTTPConnection(HOST, port, WAIT)
        for first in (b"", b"GET / HTTP/1.1\r\nHost: local"):
            with flood(port, 20, first), contextlib.closing(kept):
                for _ in range(3):
                    kept.request("GET", "/about")
                    assert kept.getresponse().read()
            with flood(port, 20, first, HOST):
                assert innocent(port)[0] == 200


@attack("page: idle connections", tries=3)
def more_connections_than_files(folder, rng):
    with process(files=256) as (port, log), flood(port, 500, b"GET / HT"):
        assert {innocent(port)[0] for _ in range(5)} == {200}
        with flood(port, 500, head(10**6), HOST):
            assert {innocent(port, ELSEWHERE)[0] for _ in range(5)} == {200}
        assert not log.stat().st_size


@attack("page: slow requests", quick=True)
def a_head_that_never_ends(folder, rng):
    whole = b"GET /about HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with page(connection__SECONDS=0.2) as port:
        for first in (b"", whole[:20], whole + whole[:20], head(10**9) + b"hello"):
            with connect(port, first) as connection, contextlib.suppress(ConnectionError):
                connection.settimeout(2)
                while connection.recv(10_000):
                    connection.sendall(b"x")


@attack("page: slow requests", quick=True)
def an_answer_that_nobody_reads(folder, rng):
    ask = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with page(connection__SECONDS=0.2, assets__PAGE="x" * 20_000_000) as port:
        with connect(port, ask) as connection, contextlib.suppress(ConnectionError):
            time.sleep(0.5)
            got = 0
            while some := connection.recv(1_000_000):
                got += len(some)
        assert got < 20_000_000
        assert innocent(port)[0] == 200


@attack("page: more than there is room for", quick=True)
def uploads_that_fill_memory(folder, rng):
    content = picture()
    with page(access__BYTES_EACH=2 * len(content)) as port:
        with flood(port, 8, head(len(content) + 1) + content) as uploads:
            until(lambda: len(select.select(uploads, [], [], 0)[0]) >= 6)
            assert innocent(port)[0] == 200
        until(lambda: innocent(port, ELSEWHERE)[0] == 200)


@attack("page: more than there is room for", quick=True)
def uploads_without_an_end(folder, rng):
    with page(access__REQUESTS_EACH=4) as port:
        with flood(port, 4, head(10**6)):
            until(lambda: innocent(port, ELSEWHERE)[0] == 503)
            assert innocent(port)[0] == 200
        until(lambda: innocent(port, ELSEWHERE)[0] == 200)


def until(done):
    """Waits for something that takes effect a moment later."""
    end = time.monotonic() + WAIT
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


@attack("page: guessed passwords", quick=True)
def guesses_in_parallel(folder, rng):
    with page(PASSWORD, access__GUESS_SECONDS=1.0) as port, ThreadPoolExecutor(16) as pool:
        guesses = [pool.submit(log_in, port, f"wrong {i}", ELSEWHERE) for i in range(80)]
        status, seconds = log_in(port, PASSWORD)
        assert (status, seconds < 1) == (303, True)
        counted = Counter(guess.result()[0] for guess in guesses)
        assert counted == {401: 10, 429: 70}
        assert log_in(port, PASSWORD, ELSEWHERE)[0] == 429
        until(lambda: log_in(port, PASSWORD, ELSEWHERE)[0] == 303)
