"""fetch() against a local server with the misbehaviours of real ones."""

import collections
import http.server
import json
import os
import shutil
import socket
import threading
import time

import pytest

from discogan_jax import files
from discogan_jax.data import download
from discogan_jax.errors import InputError

BODY = bytes(range(256)) * 400  # 100 KiB
HALF = len(BODY) // 2


class Server(http.server.ThreadingHTTPServer):
    """Takes one instruction per request from `script` and repeats the last one."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.seen, self.body, self.tag = [{}], [], BODY, '"one"'
        self.url = f"http://127.0.0.1:{self.server_address[1]}/shoes.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        s = self.server
        s.seen.append(dict(self.headers))
        act = s.script.pop(0) if len(s.script) > 1 else s.script[0]
        s.body, s.tag = act.get("body", s.body), act.get("tag", s.tag)
        asked, start = self.headers.get("Range"), 0
        fresh = act.get("ignore_if_range") or self.headers.get("If-Range") == s.tag
        if asked and fresh and not act.get("ignore_range"):
            start = int(asked.removeprefix("bytes=").rstrip("-")) + act.get("shift", 0)
        body = s.body[start:]
        self.send_response(act.get("status", 206 if start else 200))
        for name, value in act.get("headers", {}).items():
            self.send_header(name, value)
        if s.tag:
            self.send_header("ETag", s.tag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(s.body) - 1}/{len(s.body)}")
        if act.get("length", True):
            self.send_header("Content-Length", str(len(body) + act.get("lie", 0)))
        self.end_headers()
        self.wfile.write(body[: act.get("stop", len(body))])


@pytest.fixture
def server():
    with Server() as s:
        thread = threading.Thread(target=s.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield s
        s.shutdown()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads" / "shoes.tar.gz"


def get(server, target, **kw):
    kw.setdefault("sleep", lambda seconds: None)
    return download.fetch(server.url, target, **kw)


def leftovers(target):
    return sorted(p.name for p in target.parent.iterdir() if p.suffix != ".lock")


def ranges(server):
    return [headers.get("Range") for headers in server.seen]


def test_breaks_are_resumed_where_they_happened(server, target, monkeypatch):
    forced = []
    monkeypatch.setattr(
        download.os, "fsync", lambda file: forced.append((os.fstat(file).st_size, target.exists()))
    )
    server.script = [{"stop": HALF}, {"stop": 10}, {}]
    waits = []
    assert get(server, target, sleep=waits.append).read_bytes() == BODY
    assert ranges(server) == [None, f"bytes={HALF}-", f"bytes={HALF + 10}-"]
    assert [h.get("If-Range") for h in server.seen] == [None, '"one"', '"one"']
    assert waits == [1, 2]
    assert leftovers(target) == [target.name]
    # Bytes are on the disk before the name says that they are all there.
    assert forced[-1] == (len(BODY), False)


def test_another_process_resumes_the_leftover(server, target):
    server.script = [{"stop": HALF}]
    with pytest.raises(InputError):
        get(server, target, attempts=1)
    assert not target.exists()
    server.script = [{}]
    assert get(server, target).read_bytes() == BODY
    assert ranges(server)[-1] == f"bytes={HALF}-"


@pytest.mark.parametrize(
    "second",
    [
        pytest.param({"ignore_range": True}, id="200 to a range request"),
        pytest.param({"shift": 3}, id="206 from another place"),
        pytest.param({"tag": '"two"', "body": BODY[::-1]}, id="the file changed"),
        pytest.param(
            {"tag": '"two"', "body": BODY[::-1], "ignore_if_range": True},
            id="the file changed and If-Range is ignored",
        ),
        pytest.param(
            {"tag": "", "body": BODY[::-1] + b"+", "ignore_if_range": True},
            id="the file grew and has no tag any more",
        ),
        pytest.param({"status": 416}, id="416"),
    ],
)
def test_a_resume_never_mixes_two_files(server, target, second):
    server.script = [{"stop": HALF}, second, {}]
    assert get(server, target).read_bytes() == server.body
    assert leftovers(target) == [target.name]


@pytest.mark.parametrize("note", [None, "{", json.dumps({"url": "elsewhere", "validator": "x"})])
def test_a_leftover_of_unknown_origin_is_not_resumed(server, target, note):
    target.parent.mkdir()
    target.with_name(target.name + ".part").write_bytes(b"?" * 99)
    if note:
        target.with_name(target.name + ".part.json").write_text(note)
    assert get(server, target).read_bytes() == BODY
    assert ranges(server) == [None]


def test_a_whole_leftover_needs_no_request(server, target):
    server.script = [{"stop": HALF}]
    with pytest.raises(InputError):
        get(server, target, attempts=1)
    target.with_name(target.name + ".part").write_bytes(BODY)  # died just before the rename
    assert get(server, target).read_bytes() == BODY
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        pytest.param({"lie": 7}, None, id="promises more than it sends"),
        pytest.param({"lie": -7}, len(BODY), id="declares less than expected"),
        pytest.param({"body": BODY + b"+"}, len(BODY), id="declares more than expected"),
        pytest.param({"length": False, "body": BODY + b"+"}, len(BODY), id="sends more"),
        pytest.param({"length": False, "body": BODY[:9]}, len(BODY), id="sends less"),
    ],
)
def test_wrong_sizes_never_reach_the_target(server, target, act, expected):
    server.script = [act]
    with pytest.raises(InputError, match="by hand"):
        get(server, target, expected_bytes=expected, attempts=3)
    assert not target.exists()


def test_what_passes_is_retried_and_what_does_not_is_not(server, target):
    server.script = [{"status": 503, "headers": {"Retry-After": "9"}}, {"status": 500}, {}]
    waits = []
    get(server, target, sleep=waits.append)
    assert waits == [9, 2]
    server.script, server.seen = [{"status": 404}], []
    with pytest.raises(InputError, match=r"404.*Put it into /there"):
        get(server, target.with_name("bags.tar.gz"), by_hand="Put it into /there.")
    assert len(server.seen) == 1


def test_attempts_run_out_but_not_while_the_file_grows(server, target, monkeypatch):
    monkeypatch.setattr(download, "PROGRESS", 1000)
    server.script = [{"stop": 2000}]
    assert get(server, target, attempts=2).read_bytes() == BODY
    server.script, server.seen = [{"stop": 2000, "ignore_range": True}], []
    with pytest.raises(InputError, match="attempts"):
        get(server, target.with_name("again.tar.gz"), attempts=3)
    assert len(server.seen) < 6


def test_a_whole_target_stays(server, target):
    target.parent.mkdir()
    target.write_bytes(BODY)
    get(server, target)
    get(server, target, expected_bytes=len(BODY))
    assert not server.seen
    server.script = [{"stop": HALF}]
    with pytest.raises(InputError):
        get(server, target, expected_bytes=len(BODY) + 1, attempts=2)
    assert target.read_bytes() == BODY


def test_a_page_that_answers_for_the_server_is_refused(server, target):
    server.script = [{"body": b"<html>Log in</html>"}]
    with pytest.raises(InputError, match="something else"):
        get(server, target, magic=b"\x1f\x8b")
    assert not target.exists()


def test_declared_encodings_are_left_alone(server, target):
    server.script = [{"headers": {"Content-Encoding": "x-gzip"}}]
    assert get(server, target).read_bytes() == BODY


def test_a_full_disk_is_named_before_anything_is_written(server, target, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 9, 12345))
    with pytest.raises(InputError, match=r"needs 16 MiB free.*, which has 12 KiB"):
        get(server, target)
    assert leftovers(target) == []


def test_no_server_and_no_address(target):
    with socket.socket() as taken:  # bound but not listening: refused immediately
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(InputError, match="2 attempts"):
            download.fetch(url, target, attempts=2, sleep=lambda seconds: None)
    with pytest.raises(InputError, match="no usable address"):
        download.fetch("pix2pix/x", target, sleep=lambda seconds: pytest.fail("waited"))


def test_a_second_process_waits_and_finds_the_file(server, target):
    # flock belongs to the open file, so a thread with its own file can represent a process.
    done = []
    target.parent.mkdir()
    with files.locked(target):
        other = threading.Thread(target=lambda: done.append(get(server, target)))
        other.start()
        deadline = time.monotonic() + 0.05
        while time.monotonic() < deadline:
            assert not done
        target.write_bytes(BODY)
    other.join(10)
    assert done == [target]
    assert not server.seen
