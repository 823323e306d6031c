"""Mistyped command lines: one clear message, exit code 2, never a traceback."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import runs_here

from discogan_jax import cli
from discogan_jax.config import flags

DEFAULT = "from configs import default\ndef get_config():\n    config = default.get_config()\n"
FILES = {
    "unknown.py": DEFAULT + "    config.train.stpes = 3\n    return config\n",
    "another.py": DEFAULT + "    config.optim.learning_rate = config.optim.lr / 2\n",
    "division.py": DEFAULT + "    config.seed = 1 / 0\n    return config\n",
    "reads.py": DEFAULT + "    open('no_such_file')\n    return config\n",
    "syntax.py": "def get_config(:\n    pass\n",
    "imports.py": "\nimport no_such_module\n",
    "without.py": "x = 1\n",
    "exits.py": "import sys\n\nsys.exit(0)\n",
    "nothing.py": DEFAULT,
}

# Arguments of the command, and what the message must contain.
MISTAKES = {
    "unknown flag": ("--wrokdir=x", ["'wrokdir'", "workdir"]),
    "unknown section": (
        "--config.trian.steps=3",
        ["--config.trian.steps=3", "did you mean train.steps?"],
    ),
    "unknown field": (
        "--config.train.stpes=3",
        ["config.train.stpes", "did you mean train.steps?"],
    ),
    "unknown field of a file": (
        "--config configs/sample.py --config.train.stpes=3",
        ["config.train.stpes", "did you mean train.steps?"],
    ),
    "field of a value": ("--config.seed.x=3", ["config.seed is a value"]),
    "wrong type": ("--config.train.steps=abc", ["--config.train.steps=abc"]),
    "no value": ("--config.train.steps", ["--config.train.steps"]),
    "no such choice": ("--config.model.recipe=cook", ["config.model.recipe", "book, official"]),
    "out of range": ("--config.train.steps=0", ["config.train.steps must be above 0"]),
    "negative size": (
        "--config.data.batch_size=-4 --workdir={own}/run",
        ["config.data.batch_size must be above 0, it is -4"],
    ),
    "size that cannot be halved": (
        "--config.data.image_size=50 --workdir={own}/run",
        ["config.data.image_size", "50"],
    ),
    "no number": (
        "--config.optim.learning_rate=nan --workdir={own}/run",
        ["config.optim.learning_rate must be of type float, not 'nan'"],
    ),
    "too many steps": (
        "--config.train.steps=99999999999 --workdir={own}/run",
        ["config.train.steps must be below 2^32"],
    ),
    "impossible cadence": (
        "--config.train.checkpoint_every=3 --config.train.g_updates=1000 --workdir={own}/run",
        ["config.train.keep_every must be a multiple of", "config.train.g_updates", "at most 100"],
    ),
    "no number in a sweep": (
        "--sweep=optim.learning_rate=1e-4,nan --workdir={own}/run",
        ["--sweep=optim.learning_rate=1e-4,nan", "of type float"],
    ),
    "stray argument": ("train", ["unexpected argument 'train'"]),
    "field before its file": (
        "--config.model.recipe=cook --config=configs/sample.py",
        ["config.model.recipe", "book, official"],
    ),
    "no such config": ("--config=nosuch.py", ["--config=nosuch.py", "no such file", "sample.py"]),
    "own: unknown field": ("--config={own}/unknown.py", ["config.train.stpes", "train.steps"]),
    "own: Python error": (
        "--config={own}/division.py",
        ["{own}/division.py", "line 4", "ZeroDivisionError: division by zero"],
    ),
    "own: Python error, and a field": (
        "--config={own}/division.py --config.seed=1",
        ["{own}/division.py", "line 4", "ZeroDivisionError"],
    ),
    "own: missing file": ("--config={own}/reads.py", ["{own}/reads.py", "line 4", "no_such_file"]),
    "own: no such field": (
        "--config={own}/another.py",
        ["{own}/another.py", "line 4", "no field 'lr': did you mean optim.learning_rate?"],
    ),
    "own: syntax": ("--config={own}/syntax.py", ["{own}/syntax.py", "line 1", "invalid syntax"]),
    "own: import": ("--config={own}/imports.py", ["{own}/imports.py", "line 2", "no_such_module"]),
    "own: end of Python": ("--config={own}/exits.py", ["{own}/exits.py", "line 3", "SystemExit"]),
    "own: no function": ("--config={own}/without.py", ["{own}/without.py", "get_config()"]),
    "own: nothing returned": ("--config={own}/nothing.py", ["{own}/nothing.py", "get_config()"]),
}

# Errors that are found only when the data are read.
SOURCES = {
    "unknown kind": (
        {"data.source_a": "archve:edges2shoes/photo"},
        ["'archve:edges2shoes/photo'", "did you mean 'archive'"],
    ),
    "no such archives": (
        {"data.source_a": "archive:edges2shoes/photo", "data.archives": "{own}/nosuch"},
        ["{own}/nosuch"],
    ),
    "archive not there": (
        {"data.source_a": "archive:edges2shoes/photo", "data.archives": "{own}"},
        ["{own}", "edges2shoes"],
    ),
    "batch above the data": ({"data.batch_size": 25}, ["data.batch_size", "25", "24"]),
}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def ended(own, data, tmp_path_factory):
    """Runs commands, two at a time; returns exit code, standard output and standard error."""
    cache = tmp_path_factory.mktemp("xla")
    commands = {name: typed.format(own=own).split() for name, (typed, _) in MISTAKES.items()}
    for name, (changes, _) in SOURCES.items():
        filled = {k: v.format(own=own) if isinstance(v, str) else v for k, v in changes.items()}
        commands[name] = runs_here.command(data, own / "run", **filled)
    commands["workdir is a file"] = runs_here.command(data, own / "unknown.py")
    commands["dry run"] = [*runs_here.command(data, own / "dry"), "--dry_run"]
    commands["help"] = ["--help"]
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda arguments: runs_here.run(arguments, cache), commands.values())
        return dict(zip(commands, results, strict=True))


def assert_refused(result, named):
    code, _, err = result
    assert code == 2, err
    assert "Traceback" not in err
    assert 'File "' not in err
    assert len(err.strip().splitlines()) <= 3, err
    for part in named:
        assert part in err


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_flags_and_config_files(name, own, ended):
    assert_refused(ended[name], [part.format(own=own) for part in MISTAKES[name][1]])
    assert ended[name][1] == ""
    assert not (own / "run").exists()


@pytest.mark.parametrize("name", SOURCES)
def test_mistakes_in_the_data(name, own, ended):
    assert_refused(ended[name], [part.format(own=own) for part in SOURCES[name][1]])
    assert ended[name][1] == ""
    assert not (own / "run").exists()


def test_workdir_that_is_a_file(own, ended):
    assert_refused(ended["workdir is a file"], [f"--workdir={own / 'unknown.py'}", "another"])
    assert (own / "unknown.py").read_text() == FILES["unknown.py"]


def test_dry_run_tells_what_a_run_would_be_and_writes_nothing(data, own, ended):
    code, out, err = ended["dry run"]
    assert code == 0, err
    for line in (
        r"devices +1 × \S+ \(cpu\)",
        r"data bags +24 to train on, 8 held out",
        r"data shoes +24 to train on, 8 held out",
        r"batch +4 a domain; 6 batches an epoch of the smaller domain",
        r"generator +[\d,]+ parameters, two of them",
        r"discriminator +[\d,]+ parameters, two of them",
        r"state +[\d.]+ [KM]iB .*",
        r"one step +[\d.,]+ GFLOP a device",
        r"a step's work +[\d.]+ [KM]iB a device",
        r"disk +about .+: .+ MiB of checkpoints, .+ of samples, .+ of metrics, .+ of the report",
        r"30,000 steps take .+ on \d+ CPU cores?(; .*)?",
    ):
        assert re.search(f"^{line}$", out, re.MULTILINE), (line, out)
    assert "config official, 30,000 steps, with data.source_a=arrays:" in out
    assert "\n[train]\nsteps = 30000\n" in out
    assert "\nbatch_size = 4  # from the command line\n" in out
    assert not (own / "dry").exists()
    # Of arrays that are there already, digests alone are kept.
    assert {p.name for p in (data / "cache").rglob("*") if p.is_file()} == {
        "digests.npz", "identity.json",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (["sample"], flags.CONFIGS / "sample.py"),
        (["sample.py"], flags.CONFIGS / "sample.py"),
        (["--config=configs/sample.py"], flags.CONFIGS / "sample.py"),
        (["mine.py"], Path("mine.py")),
        (["best.py"], Path("best.py")),  # there is one here
        (["elsewhere/sample.py"], Path("elsewhere/sample.py")),
        (["mine.py:argument"], Path("mine.py:argument")),
        (["--a=x", "--b=y"], flags.CONFIGS / "folders.py"),
        (["--a=x", "gpu", "--b=y"], flags.CONFIGS / "gpu.py"),
    ],
)
def test_a_config_is_a_name_or_a_file(typed, found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.py", "best.py"):
        (tmp_path / name).touch()
    assert flags.find(cli.parser(["train"]).parse_args(["train", *typed])) == found


@pytest.mark.parametrize(
    ("typed", "domains"),
    [
        (["--a=x/cats", "--b=dogs/"], ("cats", "dogs")),
        (["--a=x/cats", "--b=cats"], ("a", "b")),
        (["--a=a\tb", "--b=cats"], ("a", "b")),
        (["--config.domains=('c','d')", "--a=x/cats", "--b=dogs"], ("c", "d")),
    ],
)
def test_folders_take_the_place_of_sources_and_name_the_domains(typed, domains):
    for config in ("sample", "best", "folders"):
        made = flags.read(cli.parser(["train"]).parse_args(["train", config, *typed]))
        a, b = (word.partition("=")[2] for word in typed if not word.startswith("--config"))
        assert (made.data.source_a, made.data.source_b) == (f"folder:{a}", f"folder:{b}")
        assert tuple(made.domains) == domains


def test_help_shows_the_experiment_and_its_flags(ended):
    code, out, err = ended["help"]
    assert (code, err) == (0, "")
    for part in ("python -m experiments.bags_shoes", "--config", "--workdir", "--dry_run"):
        assert part in out
