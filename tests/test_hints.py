"""What a command says of words it does not know, and its help."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from discogan_jax import cli, errors
from discogan_jax.commands import frame, train
from discogan_jax.config import flags, hints, listing, schema, validate

ROOT = Path(__file__).parent.parent
STARTED = [
    *("ablation.py", "bags_shoes.py", "edges_photos.py", "folders.py"),
    *("toy", "toy/__main__.py", "rotation", "rotation/__main__.py"),
]


def plain(word):
    return word.lower().replace("_", "")


def test_the_words_of_other_tools_lead_to_what_there_is():
    fields = [field.name for field in validate.leaves(schema.Settings)]
    known = {plain(field.rpartition(".")[2]) for field in fields}
    there = {
        *fields,
        *cli.parser(["train"]).parse_args(["train", "x"]).parser._option_string_actions,
    }
    seen = set()
    for answer, words in hints.WORDS.items():
        named = re.findall(r"--\w+|\b[a-z]+\.\w+", answer) if " " in answer else [answer]
        assert set(named) <= there, answer
        for word in map(plain, words.split()):
            assert word not in known, f"{word} is a field"
            assert word not in seen, f"{word} has two answers"
            seen.add(word)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--lr=0.1", "unknown flag 'lr': did you mean --config.optim.learning_rate?"),
        ("--batch_size=8", "did you mean --config.data.batch_size?"),
        ("--batchSize 8", "did you mean --config.data.batch_size?"),
        ("--steps=9", "did you mean --config.train.steps?"),
        ("--epochs=9", "counted in steps, --config.train.steps; --dry_run says how many batches"),
        ("--dataroot=x", "by --a and --b, other sources by --config.data.source_a"),
        ("--name=x", "a run is kept in the folder --workdir"),
        ("--gpu_ids=0", "CUDA_VISIBLE_DEVICES=0 or JAX_PLATFORMS=cpu"),
        ("--dry-run", "did you mean --dry_run?"),
        ("--qqqq", "see discogan train --help"),
        ("--config.optim.lr=0.1", "config.optim.lr: did you mean optim.learning_rate?"),
        ("--config.data.crop_size=64", "did you mean data.image_size?"),
        ("--config.train.batch_size=4", "did you mean data.batch_size?"),
        ("--config.train.out=x", "a run is kept in the folder --workdir"),
        ("--config.trian.stpes=4", "did you mean train.steps?"),
        ("--config.train.qqqq=4", validate.HELP),
        ("--config.FIELD=4", "there is no field config.FIELD"),
        ("--config.seed=1 --config=nosuch --config.optim.lr=1", "nosuch: there is no such file"),
    ],
)
def test_an_unknown_name_gets_the_hint_that_helps(typed, meant, capsys):
    before = [] if "nosuch" in typed else ["sample"]
    assert cli.main(["train", *before, *typed.split()]) == errors.EXIT_INPUT
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert meant in err


def test_a_command_without_a_config_suggests_its_own_flags_only(capsys):
    for typed, meant in (("--lr=1", "see discogan evaluate --help"), ("--setp=1", "--step?")):
        assert cli.main(["evaluate", "run", typed]) == errors.EXIT_INPUT
        assert meant in capsys.readouterr().err


def test_help_shows_each_docstring_as_it_is_and_names_the_configs():
    commands = cli.parser()._subparsers._group_actions[0].choices
    for name, parser in commands.items():
        assert parser.description in parser.format_help(), name
    for file in ROOT.glob("experiments/**/*.py"):
        if "if __name__" in (text := file.read_text()):
            doc = text.split('"""')[1]
            assert doc in train.experiment(doc, "folders").format_help(), file
    for text in (commands["train"].format_help(), commands["prepare"].format_help()):
        assert "--help_settings" in text
        named = re.findall(r"^  (\w+)  +\S", text.partition("configs:")[2], re.M)
        assert named[: len(flags.shipped())] == flags.shipped()


def test_all_settings_are_explained(capsys):
    assert cli.main(["train", "--help_settings"]) == 0
    text = capsys.readouterr().out
    for field in validate.leaves(schema.Settings):
        assert re.search(rf"^--config\.{field.name}=.+\n      \S", text, re.M), field.name
    assert "--config.model.recipe=book  (book, official, best)\n" in text
    assert "--config.optim.b1=0.9  (must lie in [0, 1))\n" in text
    assert cli.main(["train", "best", "--help_settings", "--config.seed=7"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("with the values of config best:\n\n--config.seed=7  ")
    assert "--config.optim.b1=0.5  (must lie in [0, 1))\n" in text


def test_settings_are_listed_by_section():
    settings = schema.from_config(flags.load(flags.CONFIGS / "best.py"))
    lines = listing.values(settings, {"data.flip"}).splitlines()
    assert lines[:4] == ["seed = 0", 'domains = ["bags", "shoes"]', "", "[data]"]
    assert [line for line in lines if "#" in line] == ["flip = false  # from the command line"]
    assert sum(" = " in line for line in lines) == len([*validate.leaves(schema.Settings)])


@pytest.mark.parametrize("file", STARTED)
def test_an_experiment_whose_file_is_started_says_how_to_start_it(file, tmp_path):
    """Where this package is not installed; elsewhere it works."""
    command = [sys.executable, "-I", "-S", ROOT / "experiments" / file]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    module = file.removesuffix(".py").removesuffix("/__main__")
    assert done.stderr == (
        f"No module named 'discogan_jax': start it with python -m experiments.{module}\n"
    )


def test_a_study_whose_file_is_started_says_so(capsys):
    def run(arguments):
        raise ModuleNotFoundError("No module named 'experiments'", name="experiments")

    parser = frame.Parser()
    parser.add_work(run)
    assert frame.main(lambda: parser, []) == errors.EXIT_INPUT
    assert capsys.readouterr().err == (
        "No module named 'experiments': start it with python -m, as its --help shows\n"
    )
