"""`discogan serve`: the server's answers to a browser, and the requests that it must refuse."""

import asyncio
import concurrent.futures
import io
import logging
import re
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
import runs_here
from PIL import Image

from discogan_jax import cli, export, images, runs
from discogan_jax.commands import serve as command
from discogan_jax.errors import InputError
from discogan_jax.export import exported

pytest.importorskip("starlette", reason="the page needs the extra 'serve'")
pytest.importorskip("uvicorn", reason="the page needs the extra 'serve'")

from served_here import SECONDS, Visitor, decoded, encoded, made, png, served

from discogan_jax.serve import access, checkpoints, log, page, quota, server

SIZE = runs_here.SIZE
LIMIT = 300_000


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made(tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="module")
def site(run):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "MAX_UPLOAD", LIMIT)
        with served(run.path) as url:
            yield url


@pytest.mark.parametrize(("direction", "step"), [("ab", None), ("ba", 1)])
def test_a_picture_becomes_what_the_run_makes_of_it(run, site, direction, step):
    run = runs.open(run.path, step)
    by, shown = Visitor(site).translate(png(), direction, step)
    taken = images.fit(images.read(png()), SIZE)[None]
    there = images.to_uint8(run.apply(taken, direction, 1))
    back = images.to_uint8(run.apply(there, direction[::-1], 1))
    for picture, expected in zip(shown, (taken, there, back), strict=True):
        np.testing.assert_array_equal(picture, expected[0])
    assert by == run.step
    source, to = ("bags", "shoes") if direction == "ab" else ("shoes", "bags")
    labels = Visitor(site).get("about").json()["directions"][direction]
    assert labels == [source, f"{source} → {to}", f"{source} → {to} → {source}"]


def test_results_have_the_size_of_their_picture_where_that_is_asked_for(site):
    small = Visitor(site).translate(png(size=(90, 60)))[1]
    answer = Visitor(site).post(
        "translate", png(size=(90, 60)), params={"direction": "ab", "size": "input"}
    )
    large = [decoded(picture) for picture in answer.json()["pictures"]]
    assert [x.shape for x in small] == [(SIZE, SIZE, 3)] * 3
    assert [x.shape for x in large] == [(60, 60, 3)] * 3  # what is translated of 90x60
    wrong = Visitor(site).post("translate", png(), params={"direction": "ab", "size": "huge"})
    assert wrong.status_code == 400


def test_what_is_done_to_a_picture_is_done_and_said(tmp_path):
    """Grey pictures of 12 bits, lines made thicker; examples were prepared before training."""
    changes = {"data__channels": 1, "data__range": "0,4095", "data__thicken": "a"}
    data = runs_here.write_arrays(tmp_path / "data", channels=1)
    run = runs_here.untrained(runs_here.config(data, **changes), tmp_path / "run")
    rng = np.random.default_rng(0)
    deep = rng.integers(4096, size=(40, 50, 1), dtype=np.uint16)
    images.save(tmp_path / "deep.png", deep)
    content = (tmp_path / "deep.png").read_bytes()
    with served(run.path) as url:
        visitor = Visitor(url)
        about = visitor.get("about").json()
        assert about["prepared"].startswith(f"bags: {run.preparations['a']}; shoes: ")
        example = visitor.get("example/a/0").content
        for sent, taken in (
            (content, run.preparations["a"].apply(images.load(content))),
            (example, np.asarray(run.images()["a"].val[0])),
        ):
            shown = [picture[..., :1] for picture in visitor.translate(sent)[1]]
            np.testing.assert_array_equal(shown[0], taken)
            made = images.to_uint8(run.apply(taken[None], "ab", 1))[0]
            np.testing.assert_array_equal(shown[1], made)


def test_what_goes_with_a_translation(run, tmp_path):
    """The catalogue is one of shoes, so that nothing of it goes with bags."""
    for i in range(3):
        (tmp_path / "shop").mkdir(exist_ok=True)
        (tmp_path / "shop" / f"{i}.png").write_bytes(png(i, (SIZE, SIZE)))
    shop = checkpoints.CheckpointCache(run.path, tmp_path / "shop", "shoes", tmp_path / "data")
    (matches,) = shop.catalogue.nearest(run.translate([png()], "shoes"))
    with served(shop) as url:
        visitor = Visitor(url)
        assert visitor.get("about").json()["catalogue"] == {"domain": "shoes", "pictures": 3}
        found = visitor.send(png()).json()["matches"]
        assert [(x["name"], x["distance"]) for x in found] == [
            (name, pytest.approx(distance, abs=1e-3)) for name, distance in matches
        ]
        # In more detail than the run sees them.
        assert {decoded(x["picture"]).shape for x in found} == {(192, 192, 3)}
        assert "matches" not in visitor.send(png(), "ba").json()
        # What has gone meanwhile is not shown, and any name is.
        (tmp_path / "shop" / "1.png").unlink()
        assert {x["name"] for x in visitor.send(png()).json()["matches"]} == {"0.png", "2.png"}
        shop.catalogue.names[shop.catalogue.names.index("1.png")] = odd = "odd-\udcff.png"
        (tmp_path / "shop" / odd).write_bytes(png(1, (SIZE, SIZE)))
        assert "odd-\\udcff.png" in {x["name"] for x in visitor.send(png()).json()["matches"]}
    with pytest.raises(InputError, match="translates to bags and shoes, not 'hats'"):
        checkpoints.CheckpointCache(run.path, tmp_path / "shop", "hats")


def test_a_run_of_one_direction_has_no_way_back(tmp_path):
    run = made(tmp_path, loss__objective="gan")
    with served(run.path) as url:
        visitor = Visitor(url)
        about = visitor.get("about").json()
        assert about["directions"] == {"ab": ["bags", "bags → shoes"]}
        assert {name[0] for name in about["examples"]} == {"a"}
        assert len(visitor.translate(png())[1]) == 2
        assert visitor.send(png(), "ba").status_code == 400


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no picture", "cannot be read as a picture"),
        (b"", "cannot be read as a picture"),
        (png()[:-40], "cannot be read as a picture"),
        (encoded(Image.new("1", (20_000, 5_000))), "is too large: "),
    ],
)
def test_what_is_no_picture_gets_one_sentence(site, capfd, content, said):
    answer = Visitor(site).send(content)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert said in answer.text
    assert "<" not in answer.text
    assert "/" not in answer.text  # no folder of this machine
    assert capfd.readouterr().err == ""


def test_the_nearest_checkpoint_translates(site):
    for step, found in ((None, 2), (10**6, 2), (-(10**6), 1)):
        assert Visitor(site).translate(png(), "ab", step)[0] == found


def test_a_checkpoint_without_numbers_is_a_mistake_not_a_failure(site, capfd, monkeypatch):
    nan = np.full((1, SIZE, SIZE, 3), np.nan, np.float32)
    monkeypatch.setattr(runs.Run, "apply", lambda *_: nan)
    answer = Visitor(site).send(png())
    assert answer.status_code == 422
    assert "choose another step" in answer.text
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("direction", "step"),
    [
        *((direction, None) for direction in ("", "ac", "a", "abab", "\0", "ab ", "é")),
        *(("ab", step) for step in ("x", "1.5", "nan", "inf", "1;2", "9" * 5000, "[1]")),
    ],
)
def test_what_no_page_sends_is_harmless(site, capfd, direction, step):
    assert Visitor(site).send(png(), direction, step).status_code == 400
    assert capfd.readouterr().err == ""


NAMED = b"Host: localhost\r\n"
POST = b"POST /translate?direction=ab HTTP/1.1\r\n" + NAMED


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost:port\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + 2 * NAMED + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n" + NAMED + b"\r\n",
        b"GET /example/" + b"9" * 5000 + b" HTTP/1.1\r\n" + NAMED + b"\r\n",
        b"GET /example/%ff%00/0 HTTP/1.1\r\n" + NAMED + b"\r\n",
        b"GET /translate HTTP/1.1\r\n" + NAMED + b"\r\n",
        b"BREW / HTTP/1.1\r\n" + NAMED + b"\r\n",
        b"POST /about HTTP/1.1\r\n" + NAMED + b"Content-Length: 0\r\n\r\n",
        b"POST /translate?direction=%ff HTTP/1.1\r\n" + NAMED + b"Content-Length: 0\r\n\r\n",
        POST + b"\r\n",
        POST + b"Content-Length: many\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n",
        POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
        POST + b"Content-Type: multipart/form-data\r\nContent-Length: 2\r\n\r\n--",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: gzip\r\n\r\n",
    ],
)
def test_malformed_requests_are_the_senders_mistake(site, capfd, request_):
    assert 400 <= status(site, request_) < 500
    assert capfd.readouterr().err == ""


def status(site, request_):
    """What the server answers to some bytes."""
    port = int(site.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(request_)
        return int(connection.recv(100).split()[1])


@pytest.mark.parametrize(
    "start",
    [
        POST + b"Content-Length: 1000\r\n\r\nonly this",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnot a length",
    ],
)
def test_who_hangs_up_leaves_no_trace(site, capfd, start):
    port = int(site.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(start)
    assert Visitor(site).get("about").status_code == 200
    assert capfd.readouterr().err == ""


def test_who_sends_too_slowly_is_not_waited_for(site, monkeypatch):
    monkeypatch.setattr(access, "RATE", 1_000_000)
    monkeypatch.setattr(access, "SECONDS", 0.1)
    assert status(site, POST + b"Content-Length: 1000\r\n\r\nonly this") == 408


@pytest.mark.parametrize(
    "path",
    [
        "etc/passwd",
        "../../../../../../etc/passwd",
        "%2Fetc%2Fpasswd",
        "//etc/passwd",
        "{run}/config.json",
        "config.json",
        "static/page.js",
        "static/../../../../../../etc/passwd",
        "example/a/8",
        "example/c/0",
        "example/../../../../../etc/passwd",
        "example/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "example//etc/passwd",
        "example/{run}/config.json",
        "example/http://localhost/x.png",
        "docs",
        "openapi.json",
        "login",
        "logout",
    ],
)
def test_nothing_else_is_served(site, run, path):
    answer = requests.Request("GET", f"{site}/").prepare()
    answer.url = f"{site}/{path.format(run=run.path)}"  # as it is: no .. resolved
    with requests.Session() as session:
        found = session.send(answer, timeout=SECONDS)
    assert found.status_code == 404, found.text
    assert "root:" not in found.text


def test_no_file_but_an_uploaded_one_is_translated(site, tmp_path, monkeypatch):
    (tmp_path / "private.png").write_bytes(png())
    monkeypatch.chdir(tmp_path)
    for path in (str(tmp_path / "private.png"), "private.png", "http://localhost/x.png"):
        for body in (path, f'{{"path": "{path}"}}', f"file://{path}"):
            assert Visitor(site).send(body.encode()).status_code == 422, body
    multipart = Visitor(site).post("translate?direction=ab", files={"file": ("x.png", png())})
    assert multipart.status_code == 422  # the picture itself is the body


def test_large_files_are_refused(site):
    visitor = Visitor(site)
    assert visitor.send(bytes(LIMIT)).status_code == 422  # read, and no picture
    assert visitor.send(bytes(LIMIT + 1)).status_code == 413
    assert visitor.send(bytes(2 * LIMIT)).status_code == 413
    parts = [bytes(LIMIT), b"x"]  # a length is not given
    assert visitor.send(iter(parts[:1])).status_code == 422
    assert visitor.send(iter(parts)).status_code == 413


def test_what_does_not_fit_in_is_told_so(run, monkeypatch):
    """Two pictures at once, one more waits, and the next one is sent away."""
    monkeypatch.setattr(page, "AT_ONCE", 2)
    monkeypatch.setattr(page, "MAX_WAITING", 1)
    going, lock, most = [], threading.Lock(), []
    two, free = threading.Event(), threading.Event()
    show = checkpoints.CheckpointCache.show

    def slowly(*args):
        with lock:
            going.append(1)
            most.append(len(going))
            if len(going) == page.AT_ONCE:
                two.set()
        assert free.wait(SECONDS)
        with lock:
            going.pop()
        return show(*args)

    with served(run.path) as url, ThreadPoolExecutor(4) as pool:
        monkeypatch.setattr(checkpoints.CheckpointCache, "show", slowly)
        first = [pool.submit(Visitor(url).send, png()) for _ in range(2)]
        assert two.wait(SECONDS)
        more = [pool.submit(Visitor(url).send, png()) for _ in range(2)]
        done, _ = concurrent.futures.wait(more, SECONDS, concurrent.futures.FIRST_COMPLETED)
        refused = done.pop().result()
        assert Visitor(url).send(bytes(page.MAX_UPLOAD)).status_code == 503  # and is told so
        assert refused.status_code == 503
        assert "busy" in refused.text
        free.set()
        assert [x.result().status_code for x in first] == [200, 200]
        assert sorted(x.result().status_code for x in more) == [200, 503]
        assert max(most) == 2
        assert Visitor(url).translate(png())[0] == 2  # nobody is inside any more


def test_another_name_of_this_machine_is_not_answered(site):
    """A page elsewhere could lead its own name to 127.0.0.1 and read from there."""
    port = site.rpartition(":")[2]
    names = ("localhost", "LocalHost", "[::1]", "127.0.0.1")
    for host in (*names, "evil.example", "localhost.evil.example", "[::2]"):
        for path in ("", "about", "example/a/0"):
            found = Visitor(site).get(path, headers={"Host": f"{host}:{port}"}).status_code
            assert found == (200 if host in names else 400), host


def test_any_loopback_address_is_answered_by_its_own_name(run):
    with served(run.path, address="127.0.0.2") as url:
        assert Visitor(url).get("about").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # no browser
        ({"Origin": "{site}"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "https://{place}"}, 403),
        ({"Origin": "{place}"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "{site}"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "{site}"}, 403),
    ],
)
def test_pages_of_others_cannot_send_anything(site, headers, status):
    headers = {name: value.format(site=site, place=site[7:]) for name, value in headers.items()}
    answer = Visitor(site).send(png(), headers=headers)
    assert answer.status_code == status
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_page_names_nobody_else(run, site):
    visitor = Visitor(site)
    found = visitor.get("")
    for answer in (found, visitor.get("about"), visitor.get("nothing"), visitor.send(b"")):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"https?:|//\w|@import|url\(|src=", found.text)
    examples = visitor.get("about").json()["examples"]
    assert len(examples) == 16  # all that are held out
    held_out = run.images()
    for name in examples:
        picture = images.read(visitor.get(f"example/{name}").content)
        domain, row = name.split("/")
        np.testing.assert_array_equal(picture, held_out[domain].val[int(row)])


def test_a_password_is_asked_for(run, monkeypatch):
    with served(run.path, "correct horsé") as url:
        visitor = Visitor(url)
        for path in ("about", "example/a/0", "nothing"):
            assert visitor.get(path).status_code == 401
        for content in (png(), bytes(20 << 20)):  # what is not read must not break the connection
            assert visitor.send(content).status_code == 401
        asked = visitor.get("")
        assert asked.status_code == 401
        assert 'type="password"' in asked.text
        assert "<script" not in asked.text

        for form in ({"password": "wrong"}, {}, b"password=%ff", b"\xff", b"password=" * 999):
            refused = visitor.post("login", form)
            assert refused.status_code == 401, form
            assert "That is not the password" in refused.text
        assert visitor.post("login", bytes(100_000)).status_code == 413
        assert visitor.get("about").status_code == 401
        evil = {"Origin": "https://evil.example"}
        right = {"password": "correct horsé"}
        assert visitor.post("login", right, headers=evil).status_code == 403

        entered = visitor.post("login", right, allow_redirects=False)
        assert (entered.status_code, entered.headers["Location"]) == (303, "./")
        assert {"HttpOnly", "SameSite=strict"} <= set(entered.headers["Set-Cookie"].split("; "))
        assert visitor.get("about").json()["has_login"]
        assert visitor.translate(png())[0] == 2
        assert visitor.send(png(), headers=evil).status_code == 403

        (cookie,) = visitor.http.cookies
        visitor.post("logout")
        assert visitor.get("about").status_code == 401
        # Whoever has the cookie is out as well.
        visitor.http.cookies.set(cookie.name, cookie.value)
        assert visitor.get("about").status_code == 401
        visitor.http.cookies.set(f"discogan-{url.rpartition(':')[2]}", "guessed")
        assert visitor.get("about").status_code == 401


def test_visitors_share_a_quota():
    one, same, other = (quota.visitor((x, 1)) for x in ("2001:db8::1", "2001:db8::2", "192.0.2.1"))
    assert one == same != other
    assert quota.visitor(None) == b""
    shared = quota.Quota(total=5, each=3)
    assert [shared.take(*x) for x in ((one, 3), (same,), (other, 3))] == [True, False, False]
    assert shared.take(other, 2)
    shared.give_back(one, 3)
    assert shared.take(other)
    assert not shared.take(other)


def test_a_minute_has_few_messages():
    few = log.Few()
    cancelled = (asyncio.CancelledError, asyncio.CancelledError(), None)
    said = []
    for i, exc_info in enumerate([None] * 100 + [cancelled]):
        record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "no %d", (i,), exc_info)
        record.created = 1e9 + i
        said += [record.getMessage()] if few.filter(record) else []
    assert len(said) == 2 * log.MESSAGES
    assert said[:2] == ["no 0", "no 1"]
    assert said[9] == "no 9 (More messages of this minute are left out.)"
    assert said[10].startswith("no 60")


def test_no_upload_is_written_to_a_disk(run, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MAX_UPLOAD", 32 << 20)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(run.path.parent.rglob("*"))
    with served(run.path) as url:
        assert Visitor(url).translate(png(size=(900, 900)))[0] == 2  # more than a spool holds
        assert [x.name for x in tmp_path.rglob("*")] == ["temporary"]
    assert sorted(run.path.parent.rglob("*")) == before


def test_checkpoints_are_opened_once_and_few_are_kept(run, monkeypatch):
    opened = []

    def open_slowly(path, step=None):
        opened.append(step)
        return translators_open(path, step)

    translators_open = exported.open_translator
    monkeypatch.setattr(exported, "open_translator", open_slowly)
    monkeypatch.setattr(checkpoints, "KEPT", 1)
    found = checkpoints.CheckpointCache(run.path)
    assert found.steps() == [1, 2]
    with ThreadPoolExecutor(8) as pool:
        assert {x.step for x in pool.map(found.at, [0] * 8)} == {1}
    assert opened == [None, 1]
    assert found.at(99) is found.at(None) is found.newest


def test_an_exported_file_and_a_single_checkpoint_have_no_slider(run, tmp_path):
    file, _ = export.write(run, tmp_path / "run.discogan")
    for path, step in ((file, None), (run.path / "checkpoints" / "1", 1)):
        found = checkpoints.CheckpointCache(path)
        assert found.steps() == []
        assert found.show(png(), "ab", 2).step == step
        assert bool(found.examples()) == (path != file)


def test_a_taken_port_is_passed_over():
    with server.listen("127.0.0.1", None) as one, server.listen("127.0.0.1", None) as other:
        assert server.PORT <= one.getsockname()[1] < other.getsockname()[1]


def test_mistakes(run, monkeypatch, capsys):
    monkeypatch.delenv(server.PASSWORD, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with server.listen("127.0.0.1", 0) as place:
        port = place.getsockname()[1]
        for arguments, said in (
            (["nowhere"], "nowhere is no run directory"),
            ([str(run.path), "--port", str(port)], f"port {port} is taken"),
            ([str(run.path), "--port", "99999"], "cannot be had"),
            ([str(run.path), "--host", "0.0.0.0"], f"needs a password; set {server.PASSWORD}"),
            ([str(run.path), "--host", "no.such.host.invalid"], "is no address of this machine"),
        ):
            assert cli.main(["serve", *arguments]) == 2
            assert said in capsys.readouterr().err
    monkeypatch.setenv(server.PASSWORD, "short")
    with pytest.raises(InputError, match="must have 8 characters"):
        server.find_password("0.0.0.0")
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert cli.main(["serve", str(run.path)]) == 2
    assert "pip install 'discogan_jax[serve]'" in capsys.readouterr().err
