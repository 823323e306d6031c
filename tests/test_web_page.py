"""Exports of the format `web`: a page without a server, in a real browser and without one."""

import base64
import functools
import http.server
import io
import re
import shutil
import subprocess
import threading

import numpy as np
import pytest
import runs_here
from PIL import Image

from discogan_jax import cli, export, images
from discogan_jax.images import Preparation, Size

onnx = pytest.importorskip("onnx", reason="the format needs the extra 'onnx'")
web = pytest.importorskip("discogan_jax.export.web")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    made = runs_here.config(data, train__steps=1)
    return runs_here.untrained(made, tmp_path_factory.mktemp("runs") / "sample")


def exporting(run, out, *more):
    return cli.main(["export", str(run.path), "--format", "web", "--out", str(out), *more])


@pytest.fixture
def stand_in(tmp_path):
    """Files that are named like those of the runtime."""
    folder = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    folder.mkdir(parents=True)
    for name in web._RUNTIME:
        (folder / name).write_text(name)
    return folder


def test_a_folder_that_opens_as_an_export(run, tmp_path, stand_in, monkeypatch, capsys):
    inside = tmp_path / "some" / "where"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)  # the runtime is found above
    place = tmp_path / "page"
    for _ in range(2):  # the second replaces the first
        assert exporting(run, place) == 0
    assert "largest difference to the run on held-out pictures" in capsys.readouterr().out
    assert {p.name for p in place.iterdir()} == {
        *("index.html", "about.json", "ab.onnx", "ba.onnx"),
        *web._RUNTIME.values(),
    }
    x = np.random.default_rng(0).integers(256, size=(2, *run.image_size, 3), dtype=np.uint8)
    opened = export.open_translator(place)
    error = np.abs(opened.apply(x, "ba") - run.apply(x, "ba")).max()
    assert 0 < error < 2e-3
    weights = onnx.load(place / "ab.onnx").graph.initializer
    assert {x.data_type for x in weights} == {onnx.TensorProto.FLOAT16}
    # The page names no other place.
    assert not re.findall(r"https?://", (place / "index.html").read_text())
    (place / "index.html").write_text("another page")
    assert exporting(run, place) == 2
    assert "overwrite" in capsys.readouterr().err


def test_what_cannot_be_a_page_is_refused(run, data, tmp_path, stand_in, monkeypatch, capsys):
    monkeypatch.setattr(web, "_places", lambda: [tmp_path / "none"])
    out = tmp_path / "page"
    for more, said in (
        ([], "npm install onnxruntime-web"),
        (["--runtime", str(tmp_path)], f"{tmp_path} lacks ort.wasm.bundle.min.mjs"),
    ):
        assert exporting(run, out, *more) == 2
        assert said in capsys.readouterr().err
    assert cli.main(["export", str(run.path), "--runtime", str(stand_in)]) == 2
    assert "--runtime is for --format web" in capsys.readouterr().err
    lines = runs_here.untrained(runs_here.config(data, data__thicken="a"), tmp_path / "lines")
    assert exporting(lines, out, "--runtime", str(stand_in)) == 2
    assert "The preparation of bags makes lines thicker" in capsys.readouterr().err
    assert not out.exists()


# From here on with the runtime, in a browser.


@pytest.fixture(scope="module")
def site(run, tmp_path_factory):
    """The exported page on a plain server of files."""
    folder = tmp_path_factory.mktemp("page")
    try:
        runtime = next(p for place in web._places() if (p := place / "onnxruntime-web").is_dir())
    except StopIteration:
        if not shutil.which("npm"):
            pytest.skip("npm gets the runtime, and is not installed")
        wanted = ["--ignore-scripts", "--prefix", str(folder), "onnxruntime-web"]
        got = subprocess.run(
            ["npm", "install", *wanted], capture_output=True, text=True, check=False
        )
        if got.returncode:
            pytest.skip(f"npm does not get the runtime: {got.stderr[-300:]}")
        runtime = folder / "node_modules" / "onnxruntime-web"
    assert exporting(run, folder / "page", "--runtime", str(runtime)) == 0
    handler = functools.partial(Quiet, directory=folder / "page")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/", folder / "page"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def there():
    """The tests of the page of `discogan serve`, which is the same page."""
    pytest.importorskip("starlette", reason="the page needs the extra 'serve'")
    pytest.importorskip("playwright", reason="Playwright steers the browser")
    import test_serve_browser

    return test_serve_browser


def picture(height, width, mode="RGB", seed=0):
    """Waves of all sizes, and a white border."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    phase = np.random.default_rng(seed).uniform(0, 6, 4)
    waves = [127 + 127 * np.sin((9 + 40 * x * i) * x + 30 * y * y + p) for i, p in enumerate(phase)]
    pixels = np.stack(waves, -1).round().astype(np.uint8)
    pixels[[0, -1]] = 255
    return Image.fromarray(pixels[..., :3]).convert(mode)


def content(picture, kind="PNG"):
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


@pytest.mark.long
def test_pictures_are_translated_as_python_does(browser, there, site, run):
    page = there.Page(browser, site[0])
    for size in ((40, 24), (16, 16), (300, 200)):
        given = content(picture(*size))
        page.choose(given)
        page.expect_step(run.step)
        taken, made, back = page.pictures()
        expected = there.expected(run, images.read(given))
        np.testing.assert_array_equal(taken, expected[0])
        for shown, right in ((made, expected[1]), (back, expected[2])):
            assert np.abs(shown.astype(int) - right).max() <= 2
    # The other direction, and several at once.
    page.tab.get_by_text("bags", exact=True).first.click()
    page.choose(content(picture(40, 30, seed=1)), content(picture(40, 30, seed=2)))
    page.expect_step(run.step)
    assert page.cards.count() == 2
    assert all(address.startswith((site[0], "data:")) for address in page.asked)
    assert not page.errors


@pytest.mark.long
@pytest.mark.parametrize(
    "preparation",
    [
        Preparation(Size(16, 16)),
        Preparation(Size(32, 32), "pad"),
        Preparation(Size(24, 16), "stretch", 1),
        Preparation(Size(64, 32), "crop", 3, resample="area"),
        Preparation(Size(10, 10), "stretch", 3, resample="area"),
        Preparation(Size(32, 24), "pad", 1, resample="area"),
    ],
)
def test_pictures_are_prepared_to_the_last_bit(browser, there, site, preparation):
    page = there.Page(browser, site[0])
    kinds = [("PNG", mode) for mode in ("RGB", "L", "P")] + [("BMP", "RGB"), ("WEBP", "RGB")]
    if preparation.resample == "area":  # else Python reads JPEGs at a fraction of their size
        kinds.append(("JPEG", "RGB"))
    for kind, mode in kinds:
        for size in ((40, 24), (7, 90), (100, 100), (231, 320)):
            given = content(picture(*size, mode), kind)
            height, width, channels, values = page.tab.evaluate(
                """async ([text, preparation]) => {
                    const bytes = Uint8Array.from(atob(text), (x) => x.charCodeAt(0));
                    const picture = await decoded(new File([bytes], "x"));
                    const made = prepared(picture, preparation);
                    return [made.height, made.width, made.channels, [...made.bytes]];
                }""",
                [base64.b64encode(given).decode(), preparation.to_json()],
            )
            shown = np.reshape(values, (height, width, channels))
            right = preparation.apply(preparation.load(given))
            np.testing.assert_array_equal(shown, right, err_msg=f"{kind} {mode} {size}")


@pytest.mark.long
def test_what_the_page_does_not_take(browser, there, site):
    page = there.Page(browser, site[0])
    deep = Image.fromarray(np.full((9, 9), 40_000, np.uint16))
    for given, said in (
        (content(deep), "16 bits"),
        (content(picture(9, 9), "TIFF"), "TIFF"),
        (b"no picture", "cannot read it"),
    ):
        page.choose(given)
        page.tab.get_by_role("alert").get_by_text(said).wait_for()
    # Opened as a file, it says what to do.
    tab = browser.new_page()
    tab.goto((site[1] / "index.html").as_uri())
    tab.get_by_text("python -m http.server").wait_for()
