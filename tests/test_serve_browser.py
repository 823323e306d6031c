"""The page of `discogan serve` in a real browser, and the command in a separate process."""

import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import runs_here

from discogan_jax import images, runs
from discogan_jax.config import build

pytest.importorskip("gradio", reason="the page needs the extra 'serve'")
pytest.importorskip("playwright", reason="Playwright steers the browser")

from playwright import sync_api as playwright
from served_here import Visitor, made, png, served

pytestmark = pytest.mark.long

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made(tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="module")
def site(run):
    with served(run.path) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        assert not os.environ.get("CI"), "no Chromium here; .ci/run installs it"
        pytest.skip("no Chromium here (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        # Without a sandbox: containers have none to give, and the page is ours.
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


class Page:
    """What a person sees and does."""

    def __init__(self, browser, url):
        self.asked, self.errors = [], []
        self.tab = browser.new_context().new_page()
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.goto(url)
        self.tab.get_by_text("Your picture").wait_for()

    def drop(self, content, name="mine.png"):
        file = {"name": name, "mimeType": "image/png", "buffer": content}
        self.tab.locator("input[type=file]").first.set_input_files(file)

    def shown(self, column):
        """The picture in a column, once it is there, as the browser decoded it."""
        picture = self.tab.locator(".shown").nth(column).locator("img")
        height, width, values = picture.evaluate(
            """async img => {
                await img.decode();
                const canvas = new OffscreenCanvas(img.naturalWidth, img.naturalHeight);
                const context = canvas.getContext("2d");
                context.drawImage(img, 0, 0);
                const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
                return [canvas.height, canvas.width, Array.from(pixels)];
            }"""
        )
        return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]

    def assert_shows(self, run, picture, direction="ab"):
        taken = images.fit(picture, run.image_size)[None]
        there = images.to_uint8(run.apply(taken, direction, 1))
        back = images.to_uint8(run.apply(there, direction[::-1], 1))
        for column, expected in enumerate((taken, there, back)):
            np.testing.assert_array_equal(self.shown(column), expected[0])


def test_what_a_person_does(browser, site, run):
    page = Page(browser, site)
    said = page.tab.get_by_text("By the checkpoint of step")
    page.drop(png())
    playwright.expect(said).to_have_text("By the checkpoint of step 2.")
    page.assert_shows(run, images.read(png()))
    # Another checkpoint.
    page.tab.locator("input[type=range]").press("ArrowLeft")
    playwright.expect(said).to_have_text("By the checkpoint of step 1.")
    page.assert_shows(runs.open(run.path, 1), images.read(png()))
    # A held-out picture of the other domain turns the direction round.
    page.tab.locator("#examples .grid-container button").last.click()
    page.tab.get_by_text("shoes → bags → shoes").wait_for()
    held_out = np.asarray(build.images(run.settings)["b"].val[7])
    page.assert_shows(runs.open(run.path, 1), held_out, "ba")
    # Something that is no picture.
    page.drop(b"no picture")
    toast = page.tab.get_by_test_id("toast-body")
    playwright.expect(toast).to_have_count(1)
    playwright.expect(toast).to_contain_text("mine.png cannot be read as a picture")
    assert page.errors == []
    elsewhere = [url for url in page.asked if not url.startswith((site, "data:", "blob:"))]
    assert elsewhere == []


def test_two_at_once(browser, site, run):
    pages = [Page(browser, site) for _ in range(2)]
    pictures = [png(seed) for seed in (1, 2)]
    for page, picture in zip(pages, pictures, strict=True):
        page.drop(picture)
    for page, picture in zip(pages, pictures, strict=True):
        page.tab.get_by_text("By the checkpoint of step").wait_for()
        page.assert_shows(run, images.read(picture))


def test_ctrl_c_ends_it_with_one_line(run, tmp_path, cache):
    process = subprocess.Popen(
        [sys.executable, "-m", "discogan_jax.cli", "serve", str(run.path)],
        env=runs_here.environment(cache) | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = iter(process.stdout.readline, "")
    line = next(line for line in lines if "http" in line)
    url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
    visitor = Visitor(url)
    heartbeat = visitor.get(f"gradio_api/heartbeat/{visitor.name}", stream=True)  # an open page
    assert "step 2." in visitor.translate(png())[1]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    heartbeat.close()
    assert (process.returncode, out, err) == (0, "Stopped.\n", "")
    assert list(tmp_path.iterdir()) == []
