"""`discogan serve`: the page's server, by what a browser sends it and by what it must refuse."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
import runs_here
from PIL import Image

from discogan_jax import cli, export, images, runs
from discogan_jax.cli import serve as command
from discogan_jax.errors import InputError

pytest.importorskip("gradio", reason="the page needs the extra 'serve'")

from served_here import SECONDS, Visitor, encoded, made, png, served

from discogan_jax import serve
from discogan_jax.web import page, shelf

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
    visitor = Visitor(site)
    shown, said, messages = visitor.translate(png(), direction, step)
    taken = images.fit(images.read(png()), SIZE)[None]
    there = images.to_uint8(run.apply(taken, direction, 1))
    back = images.to_uint8(run.apply(there, direction[::-1], 1))
    for update, expected in zip(shown, (taken, there, back), strict=True):
        np.testing.assert_array_equal(visitor.picture(update), expected[0])
    source, to = ("bags", "shoes") if direction == "ab" else ("shoes", "bags")
    assert [x["label"] for x in shown[1:]] == [f"{source} → {to}", f"{source} → {to} → {source}"]
    assert f"step {run.step}." in said
    assert messages == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("<b>broken.png", b"no picture", "cannot be read as a picture"),
        ("bomb.png", encoded(Image.new("1", (20_000, 5_000))), "is too large: "),
    ],
)
def test_what_is_no_picture_gets_one_sentence(site, capfd, name, content, said):
    shown, _, (message,) = Visitor(site).translate(content, name=name)
    assert said in message
    assert "<" not in message
    assert "/" not in message  # no folder of this machine
    assert [update["value"] for update in shown] == [None] * 3
    assert capfd.readouterr().err == ""


def test_what_no_page_sends_is_harmless(site, capfd):
    for direction, step in (("ac", None), (["ab"], None), ("ab", "x"), ("ab", 1e6)):
        _, said, _ = Visitor(site).translate(png(), direction, step)
        assert "step 2." in said
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/file=/etc/passwd",
        "gradio_api/file=../../../etc/passwd",
        "gradio_api/file=%2Fetc%2Fpasswd",
        "gradio_api/file={run}/config.json",
        "gradio_api/file=http://localhost/x.png",
        "gradio_api/proxy=https://x.hf.space/x.png",
        "gradio_api/info",
        "gradio_api/openapi.json",
        "gradio_api/call/translate",
        "monitoring",
        "docs",
        "static/../../../../../../etc/passwd",
    ],
)
def test_nothing_else_is_served(site, run, path):
    answer = requests.Request("GET", f"{site}/").prepare()
    answer.url = f"{site}/{path.format(run=run.path)}"  # as it is: no .. resolved
    with requests.Session() as session:
        found = session.send(answer, timeout=SECONDS)
    assert found.status_code in {403, 404}, found.text
    assert "root:" not in found.text


def test_no_file_but_an_uploaded_one_is_translated(site, tmp_path, monkeypatch):
    (tmp_path / "private.png").write_bytes(png())
    monkeypatch.chdir(tmp_path)
    meta = {"_type": "gradio.FileData"}
    for path in (tmp_path / "private.png", "private.png", "http://localhost/x.png", None, 7):
        named = path if path is None or path == 7 else str(path)
        for picture in ({"path": named}, {"path": named, "meta": meta}, [{"x": {"path": named}}]):
            assert Visitor(site).join(picture).status_code == 403, picture
    assert Visitor(site).post("queue/join", data=b"{").status_code == 400
    assert Visitor(site).post("queue/join", data=b"[" * 50_000).status_code == 400


def test_large_files_are_refused(site):
    visitor = Visitor(site)
    assert visitor.upload(bytes(LIMIT)).status_code == 200
    assert visitor.upload(bytes(LIMIT + 1)).status_code == 413  # by Gradio
    assert visitor.upload(bytes(2 * LIMIT)).status_code == 413  # by its length
    parts = iter([b"--x\r\n", *[bytes(LIMIT)] * 2])  # a length is not given
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert visitor.post("upload", data=parts, headers=kind).status_code in {400, 413}
    assert visitor.post("cancel", data=bytes(100_000)).status_code == 413


def test_another_name_of_this_machine_is_not_answered(site):
    """A page elsewhere could lead its own name to 127.0.0.1 and read from there."""
    for host, status in (("evil.example", 400), ("localhost", 200)):
        port = site.rpartition(":")[2]
        assert Visitor(site).get("", headers={"Host": f"{host}:{port}"}).status_code == status


def test_the_page_names_nobody_else(site):
    found = Visitor(site).get("")
    assert "default-src 'self'" in found.headers["Content-Security-Policy"]
    config = Visitor(site).get("config").json()
    assert not config["analytics_enabled"]
    assert config["stylesheets"] == []
    assert "googleapis" not in found.text
    (gallery,) = (c for c in config["components"] if c["type"] == "gallery")
    assert len(gallery["props"]["value"]) == 16  # all that are held out


def test_a_password_is_asked_for(run, monkeypatch):
    monkeypatch.setattr(serve, "GUESS_SECONDS", 0.0)
    with served(run.path, "correct horse") as url:
        visitor = Visitor(url)
        assert visitor.get("config").status_code == 401
        assert visitor.upload(png()).status_code == 401
        for password, status in (("wrong", 400), ("correct horse", 200)):
            form = {"username": "anybody", "password": password}
            assert (
                visitor.http.post(f"{url}/login", data=form, timeout=SECONDS).status_code == status
            )
        assert "step 2." in visitor.translate(png())[1]


def test_uploads_are_gone_when_the_server_is(run):
    with served(run.path) as url:
        (path,) = Visitor(url).upload(png()).json()
        folder = Path(path).parent
        assert Path(path).read_bytes() == png()
        assert folder.stat()
    assert not folder.exists()
    assert not folder.parent.exists()


def test_checkpoints_are_opened_once_and_few_are_kept(run, monkeypatch):
    opened = []

    def open_slowly(path, step=None):
        opened.append(step)
        return translators_open(path, step)

    translators_open = export.open_translator
    monkeypatch.setattr(export, "open_translator", open_slowly)
    monkeypatch.setattr(shelf, "KEPT", 1)
    found = shelf.Shelf(run.path)
    assert found.steps() == [1, 2]
    with ThreadPoolExecutor(8) as pool:
        assert {x.step for x in pool.map(found.at, [1.4] * 8)} == {1}
    assert opened == [None, 1]
    assert found.at(99) is found.at(None) is found.newest


def test_an_exported_file_and_a_single_checkpoint_have_no_slider(run, tmp_path):
    file, _ = export.write(run, tmp_path / "run.discogan")
    (tmp_path / "picture.png").write_bytes(png())
    for path, step in ((file, None), (run.path / "checkpoints" / "1", 1)):
        found = shelf.Shelf(path)
        assert found.steps() == []
        assert found.show(tmp_path / "picture.png", "ab", 2).step == step
        assert bool(found.examples()) == (path != file)


def test_a_taken_port_is_passed_over():
    with serve.listen("127.0.0.1", None) as one, serve.listen("127.0.0.1", None) as other:
        assert serve.PORT <= one.getsockname()[1] < other.getsockname()[1]


def test_mistakes(run, monkeypatch, capsys):
    monkeypatch.delenv(serve.PASSWORD, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with serve.listen("127.0.0.1", 0) as place:
        port = place.getsockname()[1]
        for arguments, said in (
            (["nowhere"], "nowhere is no run directory"),
            ([str(run.path), "--port", str(port)], f"port {port} is taken"),
            ([str(run.path), "--port", "99999"], "cannot be had"),
            ([str(run.path), "--host", "0.0.0.0"], f"needs a password; set {serve.PASSWORD}"),
            ([str(run.path), "--host", "no.such.host.invalid"], "is no address of this machine"),
        ):
            assert cli.main(["serve", *arguments]) == 2
            assert said in capsys.readouterr().err
    monkeypatch.setenv(serve.PASSWORD, "short")
    with pytest.raises(InputError, match="must have 8 characters"):
        serve.find_password("0.0.0.0")
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert cli.main(["serve", str(run.path)]) == 2
    assert "pip install 'discogan_jax[serve]'" in capsys.readouterr().err
