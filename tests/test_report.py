"""`discogan report`: one page about runs that loads nothing from elsewhere."""

import json
import math
import re

import numpy as np
import pytest
from PIL import Image

from discogan_jax import cli
from discogan_jax.configs import official
from discogan_jax.errors import InputError
from discogan_jax.runs import report

CHANGE = {"step": 900, "settings": {"optim.schedule": ["constant", "linear"]}}


def write_run(path, steps=2500, domains=("bags", "shoes"), samples=30):
    """Writes a run directory as training leaves it, but without checkpoints."""
    (path / "samples").mkdir(parents=True)
    config = official.get_config()
    config.domains = domains
    (path / "config.json").write_text(config.to_json())
    lines = []
    for step in range(1, steps + 1):
        line = {"step": step, "gen_loss": 1 / step, f"const_{domains[0]}_loss": 2.0}
        line |= {"learning_rate": 2e-4, "d_learning_rate": 1e-4}
        line |= {"steps_per_second": 3.0, "data_wait_fraction": 0.2}
        if step % 500 == 0:
            line |= {f"val_const_{domains[0]}_loss": float(step), "collapse_alarm": 1.0}
        lines.append(json.dumps(line))
    (path / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 9, "gen_l']))
    for i in range(samples):
        noise = np.random.default_rng(i).integers(256, size=(40, 60, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path / "samples" / f"{i * 100:08d}.png")
    rows = [{"name": "a/b", "what": "hue", "value": math.nan, "reference": None, "interval": None}]
    (path / "evaluation.json").write_text(json.dumps({"step": 7, "rows": rows}))
    return path


def data_of(text):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])


def test_a_page_tells_of_a_run(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    (run / "changes.jsonl").write_text(json.dumps(CHANGE) + "\n")
    assert cli.main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    text = (run / "report.html").read_text()
    assert len(text) < 2_000_000
    assert not re.search(r"""(src|href)=["']?(?!data:)|@import|url\((?!data:)""", text)
    (found,) = data_of(text)
    assert len(found["steps"]) <= report.MAX_POINTS
    assert found["steps"][-1] == 2500
    # Averages of neighbours; sparse values stay numbers, and NaN becomes None.
    assert found["series"]["gen_loss"][0] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, 1e-4)
    rare = [x for x in found["series"]["val_const_bags_loss"] if x is not None]
    assert rare == [500, 1000, 1500, 2000, 2500]
    assert found["evaluations"][0]["rows"][0]["value"] is None
    assert [s["step"] for s in found["samples"]][:: report.MAX_SAMPLES - 1] == [0, 2900]
    assert "step 2,500 of" in found["facts"]
    text = 'from step 900 on: optim.schedule "linear" instead of "constant"'
    assert found["changes"] == [{"step": 900, "text": text}]
    assert any("5 times, last at step 2,500" in text for text in found["warnings"])
    assert any("waited for data for 20%" in text for text in found["warnings"])
    drawn = {name for family in found["families"] for name in family["names"]}
    assert drawn == found["series"].keys() - {"collapse_alarm"}


@pytest.mark.parametrize("content", [b"", b"x", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), None])
def test_what_cannot_be_shown_is_named(tmp_path, content):
    run = write_run(tmp_path / "run\udcff", 3, samples=2)
    bad = run / "samples" / "00000100.png"
    bad.write_bytes(bad.read_bytes()[:99] if content is None else content)
    for text in ("{}", '{"step": 7, "rows": [{"value": 1, "interval": [2]}]}'):
        (run / "evaluation.json").write_text(text)
        (found,) = data_of(report.write([run]).read_text())
        assert [s["step"] for s in found["samples"]] == [0]
        assert found["evaluations"] == []
        assert "Samples that cannot be read: 00000100.png." in found["warnings"]
        assert any("evaluation.json cannot be used (" in text for text in found["warnings"])


def test_runs_side_by_side_and_names_that_tell_them_apart(tmp_path):
    runs = [write_run(tmp_path / x / "run", 3, samples=1) for x in ("one", "two")]
    out = report.write(runs, tmp_path / "both.html")
    assert [r["name"] for r in data_of(out.read_text())] == ["one/run", "two/run"]


def test_nothing_in_a_run_can_end_the_script(tmp_path):
    run = write_run(tmp_path / "<b>", 3, ("</script><script>alert(1)", "shoes"), samples=0)
    text = report.write([run]).read_text()
    assert text.count("<script>") == 2
    assert "<title>&lt;b&gt;</title>" in text
    assert data_of(text)[0]["name"] == "<b>"


def test_what_is_no_number_is_no_point_of_a_curve(tmp_path):
    run = write_run(tmp_path / "run", 2, samples=0)
    lines = (run / "metrics.jsonl").read_text().splitlines()[:2]
    lines.append('{"step": 3, "gen_loss": "x", "learning_rate": null}')
    (run / "metrics.jsonl").write_text("\n".join(lines))
    (found,) = data_of(report.write([run]).read_text())
    assert found["series"]["gen_loss"] == [1.0, 0.5, None]


def write_evaluation(run, name, step, measures):
    rows = [
        {"name": name, "what": f"{name} of images", "value": value, "reference": 1.0,
         "beside": "chance", "better": "lower", "interval": None}
        for name, value in measures.items()
    ]  # fmt: skip
    (run / name).write_text(json.dumps({"step": step, "rows": rows}))


MEASURED = {
    "shoes_to_bags/diversity": 0.5,
    "bags_to_shoes_to_bags/psnr": 20.0,
    "bags_to_shoes/ssim": 0.25,
    "bags_to_shoes/hue_error": 7.0,
}


def test_all_evaluations_of_a_run_are_shown_the_main_measures_first(tmp_path):
    run = write_run(tmp_path / "run", 3, samples=0)
    names = ("evaluation.json", "evaluation-step-50.json", "evaluation-step-700-raw.json")
    for name, step in zip(names, (900, 50, 700), strict=True):
        write_evaluation(run, name, step, MEASURED)
    (run / "evaluation-of-mine.json").write_text("{}")
    (found,) = data_of(report.write([run]).read_text())
    titles = [evaluation["title"] for evaluation in found["evaluations"]]
    assert titles == ["step 900", "step 50", "step 700, raw parameters"]
    first = {title: [*names.values()] for title, names in found["headlines"].items()}
    assert first == {"bags → shoes": ["colour kept", "comes back"], "shoes → bags": ["varies"]}


@pytest.mark.long
def test_a_phone_shows_examples_first_and_nothing_sideways(tmp_path, browser):
    from playwright.sync_api import expect

    run = write_run(tmp_path / "run", 30, samples=2)
    write_evaluation(run, "evaluation.json", 30, MEASURED)
    size = {"width": 390, "height": 844}
    tab = browser.new_context(viewport=size).new_page()
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(report.write([run]).as_uri())
    expect(tab.get_by_role("img")).to_be_in_viewport(ratio=1)
    row = tab.get_by_role("row").filter(has_text="colour kept")
    expect(row).to_contain_text("hue_error")
    expect(tab.get_by_text("bags_to_shoes/ssim of images")).to_be_hidden()
    for summary in tab.locator("summary").all():
        summary.click()
    expect(tab.get_by_text("bags_to_shoes/ssim of images")).to_be_visible()
    wide = "Math.max(...[...document.querySelectorAll('*')].map((x) => x.scrollWidth))"
    assert tab.evaluate(wide) <= size["width"]
    assert errors == []


def test_damaged_lines_are_counted(tmp_path, caplog):
    run = write_run(tmp_path / "run", 5, samples=0)
    path = run / "metrics.jsonl"
    whole = path.read_text().splitlines()[:5]
    for lines, warnings in (
        ([*whole, '{"step": 6, "gen_l'], []),  # without a newline: it is being written
        ([whole[0], "{", *whole[1:], ""], ["1 line is"]),
        ([*whole, '{"loss": 1}', "\0" * 99, ""], ["2 lines are"]),
    ):
        path.write_text("\n".join(lines))
        (found,) = data_of(report.write([run]).read_text())
        assert found["steps"] == [1, 2, 3, 4, 5]
        said = [text for text in found["warnings"] if "metrics.jsonl" in text]
        assert said == [f"metrics.jsonl: {x} damaged, and not in the curves." for x in warnings]
    assert cli.main(["report", str(run)]) == 0
    assert "metrics.jsonl: 2 lines are damaged" in caplog.text


def test_a_run_that_just_began_and_what_is_no_run(tmp_path):
    run = write_run(tmp_path / "run", 0, samples=0)
    (run / "samples" / "00000000.png").write_bytes(b"half of a pi")
    (run / "evaluation.json").unlink()
    (found,) = data_of(report.write([run]).read_text())
    assert found["steps"] == found["samples"] == []
    with pytest.raises(InputError, match=r"is no run directory: it has no config\.json"):
        report.write([tmp_path])
    with pytest.raises(InputError, match=r"cannot be written"):
        report.write([run], tmp_path / "nowhere" / "x.html")
