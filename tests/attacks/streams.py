"""Standard streams that are closed, full, without a reader, or of another encoding."""

import shutil
import subprocess
import sys

import runs_here

from attacks import attack, made, run
from discogan_jax.errors import EXIT_CUT_OFF
from discogan_jax.runs import layout, manifest

_STREAMS = "standard streams that cannot be written"


def shell(line, *words, **environment):
    """Runs a line of bash, in which `"$@"` is Python and words; returns code and both outputs."""
    done = subprocess.run(
        ["bash", "-c", line, "bash", sys.executable, *map(str, words)],
        env=runs_here.environment(made() / "xla") | environment,
        capture_output=True,
        check=False,
        timeout=300,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err, err
    assert "a bug" not in err, err
    return done.returncode, out, err


@attack(_STREAMS, quick=True)
def commands(folder, rng):
    words = "-m", "discogan_jax.cli", "runs", folder
    assert shell('"$@" >&-', *words) == (0, "", "")
    assert shell('"$@" 2>&-', *words)[0] == 0
    code, _, err = shell('"$@" >/dev/full', *words)
    assert (code, err) == (
        2,
        "The output could not be written (No space left on device), a part of it is lost.\n",
    )
    assert shell('"$@" 2>/dev/full >&2', *words) == (2, "", "")


@attack(_STREAMS)
def all_commands(folder, rng):
    """Also those that load JAX."""
    for named in (
        ["--help"],
        ["completion", "bash"],
        ["train", "--help_settings"],
        ["verify", run()],
        ["report", run()],
        ["evaluate", run()],
        ["doctor", f"--data_dir={folder}"],
    ):
        words = "-m", "discogan_jax.cli", *named
        assert shell('"$@" >&-', *words)[0] == 0
        assert shell('"$@" 2>&-', *words)[0] == 0
        assert shell('"$@" >&- 2>&-', *words)[0] == 0
        # argparse ignores errors of its own when it prints help
        assert shell('"$@" >/dev/full', *words)[0] in ((0, 2) if "--help" in words else (2,))
        assert shell('"$@" | true; exit ${PIPESTATUS[0]}', *words)[0] in (0, EXIT_CUT_OFF)


@attack(_STREAMS)
def training(folder, rng):
    """It goes on to its end; a program that reads its output need not."""
    run()  # makes the data
    changes = {"train__steps": 4, "train__print_every": 1, "train__sample_every": 0}
    words = runs_here.command(made() / "data", folder / "run", **changes)
    words = "-m", "experiments.bags_shoes", *words
    for i, (redirected, code) in enumerate(
        {
            '"$@" 2>&1 | head -1; exit ${PIPESTATUS[0]}': EXIT_CUT_OFF,
            '"$@" >&- 2>&-': 0,
            '"$@" > /dev/full': 2,
            '"$@" 2> /dev/full': 2,
        }.items()
    ):
        found, _, err = shell(redirected, *words, f"--workdir={folder / str(i)}")
        assert found == code, err
        assert manifest.sealed_steps(folder / str(i) / layout.CHECKPOINTS)[-1] == 4


@attack("an encoding that lacks letters", quick=True)
def ascii_names(folder, rng):
    (folder / "schön").mkdir()
    for variables in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}):
        code, out, _ = shell('"$@"', "-m", "discogan_jax.cli", "runs", folder, **variables)
        assert (code, "sch" in out) == (0, True)


@attack("an encoding that lacks letters")
def ascii_evaluation(folder, rng):
    code, out, _ = shell(
        '"$@"', "-m", "discogan_jax.cli", "evaluate", run(), PYTHONIOENCODING="ascii:strict"
    )
    assert (code, r"bags \u2192 shoes" in out) == (0, True)


@attack("names that a terminal would obey", quick=True)
def of_runs(folder, rng):
    escaped(folder, ["verify"], ["runs"])


@attack("names that a terminal would obey")
def of_damaged_runs(folder, rng):
    escaped(folder, ["export", "--format=nosuch"], ["evaluate", "--step=7"], ["card"], ["report"])


def escaped(folder, *commands):
    """Calls commands with a run of an evil name, whose newest checkpoint is damaged."""
    name = "r\x1b[31m\x07x\rz"
    shutil.copytree(run(), folder / name)
    (folder / name / layout.CHECKPOINTS / "2" / manifest.MANIFEST_FILE).write_text("damaged")
    for command, *flags in commands:
        words = "-m", "discogan_jax.cli", command, folder / name, *flags
        code, out, err = shell('"$@"', *words)
        assert code in (0, 1, 2)
        assert not {"\x1b", "\x07", "\r"} & {*(out + err)}
