"""The `discogan` command as a whole: fast, few messages, one line for each error."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import discogan_jax
from discogan_jax import cli, errors
from discogan_jax.commands import doctor, frame

COMMANDS = [*cli.COMMANDS]

_HELP = """
import sys
before = set(sys.modules)
from discogan_jax import cli, errors
from discogan_jax.commands import doctor
for arguments in (["--help"], ["--version"], *([name, "--help"] for name in sys.argv[1:])):
    try:
        cli.main(arguments)
    except SystemExit as end:
        assert end.code == 0, arguments
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print("loaded:", *sorted(new - set(sys.stdlib_module_names)))
"""


def test_help_loads_nothing_but_python():
    """Neither NumPy nor absl: completion and help must not make anyone wait."""
    code = [sys.executable, "-c", _HELP, *COMMANDS]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: discogan_jax"
    assert f"discogan_jax {discogan_jax.__version__}\n" in done.stdout
    for name in COMMANDS:
        assert f"usage: discogan {name}" in done.stdout


# Command lines and what the error message must name. {dir} is an empty folder, {file} a text file.
MISTAKES = [
    ("translate {dir}/nowhere x.png --to shoes --out o", ["{dir}/nowhere", "config.json"]),
    ("translate {file} x.png --to shoes --out o", ["{file}"]),
    ("translate {dir} x.png --to shoes --out o", ["{dir} is no run directory"]),
    ("evaluate {dir}", ["{dir} is no run directory"]),
    ("evaluate {file}", ["{file} is no run directory"]),
    ("report {dir}", ["{dir} is no run directory"]),
    ("report {file}", ["{file}"]),
    ("export {dir}", ["{dir} is no run directory"]),
    ("export {file}", ["{file} is no run directory"]),
    ("verify {dir}/nowhere", ["{dir}/nowhere has no checkpoints"]),
    ("runs {dir}/nowhere", ["{dir}/nowhere is not there"]),
    ("runs {file}", ["{file} is no folder"]),
    ("prepare --config={dir}/nowhere.py", ["--config={dir}/nowhere.py", "there is no such file"]),
    ("prepare --config={file}", ["--config={file}"]),
    ("prepare --config=configs/sample.py --config.data.sice=3", ["config.data.sice"]),
    ("prepare --config=configs/sample.py --workdir=x", ["workdir"]),
    ("prepare", ["CONFIG is missing", "best, default"]),
    ("prepare sample --config=configs/sample.py", ["CONFIG is given twice"]),
    ("prepare smaple", ["--config=smaple", "no such file", "sample.py"]),
    ("train", ["CONFIG is missing", "best, default"]),
    ("train --a={dir}", ["--b=FOLDER missing"]),
    ("train folders", ["--a=FOLDER and --b=FOLDER missing", 'docs/training.md, "Training".']),
    ("train --config=sample --config=best", ["--config is given twice: sample and best"]),
    (
        "prepare --a={dir} --b={file} --config.data.image_size=16",
        ["{dir} holds no pictures, at any depth. See docs/folders.md", "on your own pictures"],
    ),
    ("train sample --dry-run", ["did you mean --dry_run"]),
    ("train sample --wrokdir=x", ["unknown flag 'wrokdir'", "did you mean --workdir"]),
]


@pytest.mark.parametrize(("typed", "named"), MISTAKES, ids=[typed for typed, _ in MISTAKES])
def test_a_mistake_is_one_line(tmp_path, capsys, typed, named):
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_text("no run")
    places = {"dir": tmp_path / "dir", "file": tmp_path / "file"}
    assert cli.main([word.format(**places) for word in typed.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) <= 2
    for part in named:
        assert part.format(**places) in err


def test_options_that_do_not_exist(capsys):
    for typed in ("runs --jsno", "verify x --config.seed=3", "tranlate"):
        assert cli.main(typed.split()) == 2
        assert typed.split()[-1] in capsys.readouterr().err


def test_pages_that_errors_name_are_there():
    docs = Path(__file__).parents[1] / "docs"
    for name, title in {*frame.PAGES.values()}:
        assert (docs / f"{name}.md").read_text().partition("\n")[0] == f"# {title}"


def test_no_command_and_no_runs_say_what_to_type(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main([]) == 0
    assert {*COMMANDS} <= {*capsys.readouterr().out.split()}
    assert cli.main(["runs"]) == 0
    (tmp_path / "empty").mkdir()
    assert cli.main(["runs", "empty"]) == 0
    said = capsys.readouterr().out
    assert "no runs in runs. " in said
    assert "no runs in empty. " in said
    assert said.count("  discogan train --a=FOLDER --b=FOLDER  ") == 2


def raising(error):
    def run(arguments):
        raise error

    return run


def test_ctrl_c_and_what_the_system_refuses(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "run", raising(KeyboardInterrupt()))
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr() == ("", "Stopped.\n")
    monkeypatch.setattr(doctor, "run", raising(PermissionError(13, "Denied", "/some/file")))
    assert cli.main(["doctor"]) == 2
    assert capsys.readouterr() == ("", "/some/file: Denied\n")


def test_what_nobody_foresaw_is_one_line_or_a_traceback(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "run", raising(OSError("ours:\n a bug")))
    assert cli.main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("OSError: ours: a bug (test_cli.py, line ")
    with pytest.raises(OSError, match="a bug"):
        cli.main(["doctor", "--debug"])


def test_a_terminal_obeys_no_name(tmp_path, capsys):
    assert cli.main(["verify", str(tmp_path / "\x1b[31mred\x07")]) == 2
    assert r"\x1b[31mred\x07 has no checkpoints" in capsys.readouterr().err
    assert errors.printable("ä\t→\n\udcff\u202e") == "ä\t→\n\\udcff\\u202e"


_SIGNALLED = """
import os, signal, sys
from discogan_jax import cli
left = {times}
def hook(event, args):
    global left
    if left and event == {event!r} and {part!r} in str(args[0]):
        left -= 1
        os.kill(os.getpid(), {number})
sys.addaudithook(hook)
sys.argv = ["discogan", "doctor", "--data_dir={folder}"]
sys.exit(cli.main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("event", "part", "times"),
    [("import", "jax._src.api", 1), ("import", "jax._src", 9), ("os.scandir", "arrays", 1)],
)
def test_signals_stop_a_command_with_one_line(number, event, part, times, tmp_path):
    """In an import, where extension modules print errors of their own, and at work."""
    (tmp_path / "arrays").mkdir()
    code = _SIGNALLED.format(
        event=event, part=part, times=times, number=int(number), folder=tmp_path
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (128 + number, "Stopped.\n")


_LOGGING = """
import sys
from discogan_jax.commands import frame
frame._set_up_process({verbose})
code = "from absl import logging; logging.info('note'); logging.error('error \\x1b[31m')"
exec(compile(code, frame.__file__, "exec"))
"""


@pytest.mark.parametrize(("verbose", "told"), [(True, "note\n"), (False, "")])
def test_messages_of_the_package_are_shown_whatever_was_imported_before(verbose, told):
    command = [sys.executable, "-c", _LOGGING.format(verbose=verbose)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == told + "error \\x1b[31m\n"


def test_nohup_keeps_a_hangup_away(tmp_path):
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)" + _SIGNALLED.format(
        event="import", part="jax._src.api", times=1, number=int(signal.SIGHUP), folder=tmp_path
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1)  # that of doctor
    assert "Stopped" not in done.stderr


@pytest.mark.parametrize("typed", ["--help", "completion bash", "runs ."])
def test_nobody_reads_on(typed, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "discogan_jax.cli", *typed.split()]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    # Without buffering, argparse itself ignores errors when it prints its help.
    assert done.returncode in ((0, 141) if typed == "--help" else (141,))
    assert done.stderr == ""


def completed(words, script, where):
    """Returns bash's completions of the last word."""
    code = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; '
        "[[ $(complete -p discogan) =~ -F\\ ([^ ]+) ]] && ${BASH_REMATCH[1]} discogan "
        '"${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    run = ["bash", "--norc", "-c", code, "bash", str(script), *words]
    # Without a PATH no Python could be started.
    done = subprocess.run(run, capture_output=True, text=True, cwd=where, env={}, check=False)
    return {word.strip() for word in done.stdout.splitlines() if word.strip()}


@pytest.mark.skipif(shutil.which("bash") is None, reason="completes in bash")
def test_bash_completes(tmp_path, capsys):
    assert cli.main(["completion", "bash"]) == 0
    script = tmp_path / "discogan.bash"
    script.write_text(capsys.readouterr().out)
    (tmp_path / "runs").mkdir()
    (tmp_path / "run.discogan").touch()
    assert completed(["discogan", "ru"], script, tmp_path) == {"runs"}
    assert set(COMMANDS) <= completed(["discogan", ""], script, tmp_path)
    assert completed(["discogan", "translate", "--gr"], script, tmp_path) == {"--grid"}
    assert completed(["discogan", "translate", "--pairs", "le"], script, tmp_path) == {"left"}
    assert completed(["discogan", "translate", "ru"], script, tmp_path) == {"runs", "run.discogan"}
    assert completed(["discogan", "runs", "ru"], script, tmp_path) == {"runs"}
    assert completed(["discogan", "translate", "--out", "ru"], script, tmp_path) == {"runs"}

    domains = {"domains": ["cats", "dogs"], "seed": 0}
    (tmp_path / "runs" / "config.json").write_text(json.dumps(domains, indent=2))
    typed = ["discogan", "translate", "runs", "x.png", "--to"]
    assert completed([*typed, ""], script, tmp_path) == {"cats", "dogs"}
    assert completed([*typed, "d"], script, tmp_path) == {"dogs"}


@pytest.mark.parametrize("shell", ["zsh", "tcsh", "fish"])
def test_other_shells_take_the_script(shell, tmp_path, capsys):
    assert cli.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(text)
        subprocess.run([shell, "-n", script], check=True)
