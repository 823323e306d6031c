"""Variables of the environment, paths and other arguments that nobody means."""

import contextlib
import signal
import subprocess
import sys
import time

import runs_here

from attacks import attack, discogan, made, refused, run
from attacks.streams import shell
from discogan_jax import multihost
from discogan_jax.errors import InputError

LONG = "x" * 300


@attack("paths that name no place", quick=True)
def paths(folder, rng):
    (folder / "loop").symlink_to(folder / "loop")
    for path in ("~nosuch", "~nosuch/x", folder / "loop", folder / LONG, "", "\udcff"):
        for words in (["runs", path], ["report", path], ["verify", path], ["evaluate", path]):
            refused(*words)


@attack("paths that name no place")
def outputs(folder, rng):
    (folder / "loop").symlink_to(folder / "loop")
    for path in ("~nosuch", "~nosuch/x", folder / "loop/x", folder / LONG, "", "\udcff", "."):
        for command in ("export", "report", "card"):
            refused(command, run(), f"--out={path}")
        refused("translate", run(), run() / "samples", "--to=shoes", f"--out={path}")
        refused("serve", run(), f"--host={str(path)[-80:]}")


@attack("paths that name no place", quick=True)
def of_training(folder, rng):
    for path in ("~nosuch", "\udcff", "", folder / LONG):
        refused("train", "sample", f"--workdir={path}")
    for field in ("data.data_dir", "data.archives", "train.init_from", "data.source_a"):
        refused("train", "sample", f"--workdir={folder / 'run'}", f"--config.{field}=~nosuch/x")


_ODD = (
    "SLURM_NTASKS=x SLURM_PROCID=y SLURM_JOB_ID=q SLURM_STEP_NODELIST=z SLURM_LOCALID=0",
    "SLURM_NTASKS=2 SLURM_PROCID=9 SLURM_JOB_ID=1 SLURM_STEP_NODELIST=[ SLURM_LOCALID=0",
    "SLURM_NTASKS=2 SLURM_PROCID=0 SLURM_JOB_ID=x SLURM_STEP_NODELIST=a SLURM_LOCALID=0",
    "OMPI_COMM_WORLD_SIZE=x OMPI_COMM_WORLD_RANK=0 OMPI_MCA_orte_hnp_uri=x",
    "OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=-1 OMPI_MCA_orte_hnp_uri=1",
    "OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 OMPI_MCA_orte_hnp_uri=nonsense",
    "OMPI_COMM_WORLD_SIZE=2",
    "JOB_COMPLETION_INDEX=x",
    "JAX_PLATFORMS=nosuch",
    "JAX_ENABLE_X64=maybe",
    "JAX_COMPILATION_CACHE_DIR=/dev/null/x",
    "XLA_FLAGS=--nosuch",
    "HOME=/nosuch",
    "HOME=",
    "TMPDIR=/nosuch",
    "OMP_NUM_THREADS=x",
    "COLUMNS=x",
    "COLUMNS=-3",
    "TERM=nosuch",
)


@attack("odd variables of the environment", quick=True)
def schedulers(folder, rng):
    for odd in _ODD[:8]:
        environment = dict(one.split("=", 1) for one in odd.split())
        with contextlib.suppress(InputError):
            found = multihost.process_info(None, None, None, environment)
            assert 0 <= found.process < found.processes


@attack("odd variables of the environment")
def variables(folder, rng):
    """Either they do no harm, or one line names them (that of XLA, which exits with 1, too)."""
    run()  # makes the data
    changes = {"train__steps": 2, "train__print_every": 0, "train__sample_every": 0}
    for i, odd in enumerate(_ODD):
        words = runs_here.command(made() / "data", folder / str(i), **changes)
        environment = dict(one.split("=", 1) for one in odd.split())
        code, _, err = shell('"$@"', "-m", "experiments.bags_shoes", *words, **environment)
        last = err.splitlines()[-1]
        parts = [part for pair in environment.items() for part in pair]
        named = any(part[:12] in last for part in parts)
        assert code == 0 or (code in (1, 2) and named), f"{odd}: {code}, {err[-500:]}"


_COMMANDS = {"runs": 1, "report": 1, "doctor": 2, "evaluate": 6, "train": 7}


@attack("Ctrl-C at any moment", quick=True)
def at_start(folder, rng):
    interrupt("runs", folder, rng)


_LOCKED = """
import _imp, sys, threading
_imp.acquire_lock()
from discogan_jax import cli
sys.argv = ["discogan", "runs", sys.argv[1]]
cli.main()
def wanted():
    import json.tool
thread = threading.Thread(target=wanted, daemon=True)
thread.start()
thread.join(20)
sys.exit(thread.is_alive())
"""


@attack("Ctrl-C at any moment", quick=True)
def in_the_start_of_python(folder, rng):
    """Python swallows it, and may keep the lock of imports."""
    assert shell('"$@"', "-c", _LOCKED, folder)[0] == 0


@attack("Ctrl-C at any moment", tries=90)
def anywhere(folder, rng):
    interrupt(list(_COMMANDS)[rng.integers(len(_COMMANDS))], folder, rng)


def interrupt(name, folder, rng):
    """Sends Ctrl-C to a command at a random moment."""
    words = ["-m", "discogan_jax.cli", name, run()]
    if name == "doctor":
        words[-1] = f"--data_dir={folder}"
    if name == "train":
        arguments = runs_here.command(made() / "data", folder / "run", train__steps=9)
        words = ["-m", "experiments.bags_shoes", *arguments]
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        env=runs_here.environment(made() / "xla"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(rng.uniform(0.1, _COMMANDS[name]))
    process.send_signal(signal.SIGINT)
    # Python itself swallows one that comes before it has read any of the program, or says so.
    _, err = process.communicate(timeout=300)
    if "init_import_site" not in err:
        assert process.returncode in (0, 130, 1 if name == "doctor" else 0, -signal.SIGINT), err
        assert not any(sign in err for sign in ("Traceback", "a bug", "Exception")), err


@attack("configs that end the process", quick=True)
def ends(folder, rng):
    for code in (
        "import sys; sys.exit()",
        "raise SystemExit(0)",
        "raise KeyboardInterrupt",
        "def get_config(): exit()",
    ):
        (folder / "own.py").write_text(code)
        config = folder / "own.py"
        expected = 130 if "Keyboard" in code else 2
        assert discogan("train", config, f"--workdir={folder / 'run'}")[0] == expected
    assert not (folder / "run").exists()


@attack("values of any length", quick=True)
def lengths(folder, rng):
    workdir = f"--workdir={folder}"
    for words in (
        ["serve", run(), f"--host={LONG}"],
        ["serve", run(), "--host=a..b"],
        ["serve", run(), "--port=99999999999999999999"],
        ["evaluate", run(), f"--step={'9' * 30}"],
        ["evaluate", run(), "--step=²"],
        ["train", "sample", workdir, f"--sweep=seed={'9' * 300},1"],
        ["train", "sample", workdir, f"--sweep=data.source_a={LONG},b"],
        ["train", "sample", workdir, f"--sweep=data.source_a=folder:{LONG},folder:b"],
        ["train", "sample", workdir, f"--coordinator={LONG}:1", "--processes=2", "--process=x"],
    ):
        refused(*words)
