"""The page of `discogan serve` in a real browser, and the command in a separate process."""

import io
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import runs_here
from PIL import Image

from discogan_jax import images, runs
from discogan_jax.config import build
from discogan_jax.serve import checkpoints

pytest.importorskip("starlette", reason="the page needs the extra 'serve'")
pytest.importorskip("uvicorn", reason="the page needs the extra 'serve'")
pytest.importorskip("playwright", reason="Playwright steers the browser")

from attacks.page import connect, head
from playwright import sync_api as playwright
from served_here import Visitor, made, png, served

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made(tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="module")
def site(run):
    with served(run.path) as url:
        yield url


class Page:
    """What a person sees and does."""

    def __init__(self, browser, url, **settings):
        self.asked, self.errors = [], []
        self.tab = browser.new_context(**settings).new_page()
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.goto(url)
        self.tab.get_by_text("its translation appears here").wait_for()
        self.said = self.tab.get_by_role("status")
        self.cards = self.tab.get_by_role("article")

    def choose(self, *contents, name="mine.png"):
        files = [{"name": name, "mimeType": "image/png", "buffer": x} for x in contents]
        self.tab.get_by_label("Choose pictures").set_input_files(files)

    def give(self, event, *contents):
        """Drops or pastes files: a browser lets nobody but a person move them there."""
        self.tab.evaluate(
            """([event, contents]) => {
                const data = new DataTransfer();
                for (const [i, content] of contents.entries())
                    data.items.add(new File([Uint8Array.from(content)], `${event} ${i}.png`));
                const made = event === "drop"
                    ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                    : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
                document.body.dispatchEvent(made);
            }""",
            [event, [list(content) for content in contents]],
        )

    def expect_step(self, step):
        playwright.expect(self.said).to_have_text(f"By the checkpoint of step {step}.")

    def pictures(self, card=0):
        """The pictures of a result, once they are there, as the browser decoded them."""
        found = self.cards.nth(card).get_by_role("img")
        for i in range(found.count()):
            height, width, values = found.nth(i).evaluate(
                """async img => {
                    await img.decode();
                    const canvas = new OffscreenCanvas(img.naturalWidth, img.naturalHeight);
                    const context = canvas.getContext("2d");
                    context.drawImage(img, 0, 0);
                    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
                    return [canvas.height, canvas.width, Array.from(pixels)];
                }"""
            )
            yield np.array(values, np.uint8).reshape(height, width, 4)[..., :3]

    def assert_shows(self, run, picture, direction="ab", card=0):
        for shown, right in zip(
            self.pictures(card), expected(run, picture, direction), strict=True
        ):
            np.testing.assert_array_equal(shown, right)


def expected(run, picture, direction="ab"):
    """The picture as the run sees it, its translation and the way back, in the picture's size."""
    made = [images.fit(picture, run.image_size)]
    for way in (direction, direction[::-1]):
        if way in run.directions:
            made.append(images.to_uint8(run.apply(made[-1][None], way, 1))[0])
    size = images.Size(*picture.shape[:2])
    return [run.preparations["a"].restore(x, size) for x in made]


def test_the_tab_of_the_catalogue(browser, run, tmp_path):
    (tmp_path / "shop").mkdir()
    for i in range(8):
        (tmp_path / "shop" / f"shoe {i}.png").write_bytes(png(i))
    shop = checkpoints.CheckpointCache(run.path, tmp_path / "shop", "shoes", tmp_path / "data")
    (matches,) = shop.catalogue.nearest(run.translate([png(9)], "shoes"))
    with served(shop) as url:
        page = Page(browser, url)
        page.choose(png(9))
        page.expect_step(2)
        found = page.cards.locator(".matches figcaption")
        playwright.expect(found).to_have_text([match.name for match in matches])
        playwright.expect(found.first).to_be_hidden()
        assert page.cards.get_by_role("figure").count() == 3
        page.tab.get_by_role("tab", name="Matching shoes of 8 in the catalogue").click()
        playwright.expect(found.first).to_be_visible()
        assert page.cards.get_by_role("figure").count() == 2 + 6  # the way back makes room
        # The other direction leads to bags.
        page.tab.get_by_label("shoes → bags", exact=True).check()
        playwright.expect(page.cards).to_contain_text("The catalogue has shoes")
        assert page.errors == []


def test_what_a_person_does(browser, site, run):
    page = Page(browser, site)
    playwright.expect(page.tab).to_have_title("bags ↔ shoes")
    page.choose(png())
    page.expect_step(2)
    page.assert_shows(run, images.read(png()))
    # A picture is saved as it is shown.
    for i, words in enumerate(("bags", "bags to shoes", "bags to shoes to bags")):
        with page.tab.expect_download() as download:
            page.tab.get_by_role("link", name="Download").nth(i).click()
        assert download.value.suggested_filename == f"mine {words} step 2.png"
        saved = images.read(download.value.path())
        np.testing.assert_array_equal(saved, expected(run, images.read(png()))[i])
    # Another checkpoint.
    page.tab.get_by_role("slider").press("ArrowLeft")
    page.expect_step(1)
    page.assert_shows(runs.open(run.path, 1), images.read(png()))
    # The other direction, by keyboard.
    page.tab.get_by_role("radio", name="bags → shoes").press("ArrowRight")
    page.tab.get_by_text("shoes → bags → shoes").wait_for()
    page.assert_shows(runs.open(run.path, 1), images.read(png()), "ba")
    # A held-out picture of the other domain turns the direction round.
    page.tab.get_by_role("button", name="Example: bags 1").click()
    page.tab.get_by_text("bags → shoes → bags").wait_for()
    held_out = build.images(run.settings)
    page.expect_step(1)
    page.assert_shows(runs.open(run.path, 1), np.asarray(held_out["a"].val[0]))
    example = page.tab.get_by_role("button", name="Example: shoes 8")
    example.press("Enter")
    page.tab.get_by_text("shoes → bags → shoes").wait_for()
    page.expect_step(1)
    page.assert_shows(runs.open(run.path, 1), np.asarray(held_out["b"].val[7]), "ba")
    assert page.tab.locator("[aria-pressed=true]").count() == 1
    playwright.expect(example).to_have_attribute("aria-pressed", "true")
    # Something that is no picture.
    page.choose(b"no picture", name="<b>mine</b>.png")
    alert = page.tab.get_by_role("alert").locator("p")
    playwright.expect(alert).to_have_count(1)
    playwright.expect(alert).to_contain_text("cannot be read as a picture")
    playwright.expect(page.tab.get_by_role("heading", name="<b>mine</b>.png")).to_be_visible()
    assert page.tab.locator("article b, article img").count() == 0
    assert page.errors == []
    elsewhere = [url for url in page.asked if not url.startswith((site, "data:"))]
    assert elsewhere == []


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_several_files(browser, site, run, way):
    page = Page(browser, site)
    contents = [png(1), b"no picture", png(2), png(3)]
    if way == "choose":
        page.choose(*contents)
    else:
        page.give(way, *contents)
    page.expect_step(2)
    playwright.expect(page.cards).to_have_count(4)
    for card, content in enumerate(contents):
        if content != b"no picture":
            page.assert_shows(run, images.read(content), card=card)
    playwright.expect(page.cards.nth(1)).to_contain_text("cannot be read as a picture")
    # All of them go to the other direction.
    page.tab.get_by_role("radio", name="shoes → bags").check()
    playwright.expect(page.tab.get_by_text("shoes → bags → shoes")).to_have_count(3)
    page.expect_step(2)
    page.assert_shows(run, images.read(png(3)), "ba", card=3)
    assert page.errors == []


def test_a_kind_that_browsers_lack_is_shown(browser, site, run):
    page = Page(browser, site)
    file = io.BytesIO()
    Image.fromarray(images.read(png())).save(file, "TIFF")
    page.choose(file.getvalue(), name="mine.tiff")
    page.expect_step(2)
    page.assert_shows(run, images.read(png()))


def test_what_is_no_file_is_told(browser, site):
    page = Page(browser, site)
    for event, said in (("drop", "That was no file"), ("paste", "no picture in the clipboard")):
        page.give(event)
        playwright.expect(page.said).to_contain_text(said)


def test_the_clipboard_button(browser, site, run):
    page = Page(browser, site, permissions=["clipboard-read", "clipboard-write"])
    page.tab.evaluate(
        """async (content) => {
            const picture = new Blob([Uint8Array.from(content)], { type: "image/png" });
            await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
        }""",
        list(png()),
    )
    page.tab.get_by_role("button", name="Paste from the clipboard").click()
    page.expect_step(2)
    page.assert_shows(run, images.read(png()))


def test_a_busy_server_is_asked_again(browser, site, run):
    page = Page(browser, site)
    page.tab.route("**/translate?*", lambda route: route.fulfill(status=503, body="It is busy."))
    page.choose(png())
    playwright.expect(page.tab.get_by_role("alert")).to_contain_text("It is busy.")
    page.tab.unroute("**/translate?*")
    page.tab.get_by_role("button", name="Try again").click()
    page.expect_step(2)
    page.assert_shows(run, images.read(png()))


def test_a_run_of_one_direction_has_no_way_back(browser, tmp_path):
    run = made(tmp_path, loss__objective="gan")
    with served(run.path) as url:
        page = Page(browser, url)
        playwright.expect(page.tab).to_have_title("bags → shoes")
        page.choose(png())
        page.expect_step(2)
        page.assert_shows(run, images.read(png()))
        assert page.tab.get_by_role("radio").count() == 0
        assert page.tab.get_by_role("button", name="Example: shoes").count() == 0
        assert page.tab.get_by_text("bags → shoes → bags").count() == 0


def test_the_password_form(browser, run):
    with served(run.path, "correct horse") as url:
        tab = browser.new_context().new_page()
        tab.goto(url)
        for typed in ("wrong", "correct horse"):
            tab.get_by_label("Password").fill(typed)
            tab.keyboard.press("Enter")
            if typed == "wrong":
                tab.get_by_text("That is not the password").wait_for()
        tab.get_by_text("Choose pictures").wait_for()
        tab.get_by_role("button", name="Log out").click()
        tab.get_by_label("Password").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_result_is_seen_at_once(browser, site, scheme, width):
    """On a phone, too; nothing has to be scrolled sideways, and colours follow the system's."""
    size = {"width": width, "height": 844}
    page = Page(browser, site, viewport=size, color_scheme=scheme, reduced_motion="reduce")
    page.tab.get_by_role("button", name="Example: bags 3").click()
    page.expect_step(2)
    for i in range(3):
        playwright.expect(page.cards.get_by_role("img").nth(i)).to_be_in_viewport(ratio=1)
    # On a phone right below the input, before the examples.
    below = [page.tab.locator(x).bounding_box()["y"] for x in ("#input", "#results", "#examples")]
    assert below == sorted(below) if width == 390 else below[0] == below[1]
    paper, wide = page.tab.evaluate(
        "[getComputedStyle(document.body).backgroundColor, document.documentElement.scrollWidth]"
    )
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 22, 26)"}[scheme]
    assert wide <= width


def test_two_at_once(browser, site, run):
    pages = [Page(browser, site) for _ in range(2)]
    pictures = [png(seed) for seed in (1, 2)]
    for page, picture in zip(pages, pictures, strict=True):
        page.choose(picture)
    for page, picture in zip(pages, pictures, strict=True):
        page.expect_step(2)
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
    assert visitor.translate(png())[0] == 2  # its connection stays open
    with connect(int(url.rpartition(":")[2]), head(1000) + b"this never ends"):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "Stopped.\n", "")
    assert list(tmp_path.iterdir()) == []
