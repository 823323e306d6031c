"""From a command line to a training run: flags, devices, compile cache, dry run."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from logging import WARNING, Formatter
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from discogan_jax.errors import (
    EXIT_DIVERGED,
    EXIT_INPUT,
    DivergedError,
    InputError,
    InterruptedRunError,
)
from discogan_jax.host_memory import keep_freed_memory

CONFIGS = Path(__file__).resolve().parent.parent / "configs"

# The flags below are those of the experiment: its --help lists them.
flags.disclaim_key_flags()

# TensorFlow, which only decodes images here, greets with notes about its own building blocks. Its
# errors still show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# Warnings of others that are no news: Orbax has three on opening a run that was just trained.
_NOISE = ("is deprecated", "read_only=True", "directory is read only")

Adapt = Callable[[ConfigDict], None]


@dataclass(frozen=True)
class Study:
    """Several runs to compare.

    Attributes:
      name: of the folder in `runs/`.
      variants: of the config, `variants.Variant`.
      seeds: that each is run with, or None for the config's own.
      measures: names of the rows of `evaluate` that the table shows; None for a few.
    """

    name: str
    variants: Sequence[Any]
    seeds: Sequence[int] | None
    measures: Sequence[str] | None = None


def run(config_file: str, adapt: Adapt | None = None, study: Study | None = None) -> None:
    """Runs an experiment: parses the flags, trains, ends the process.

    Args:
      config_file: the default of ``--config``, a file in `configs/`.
      adapt: changes the config by the experiment's own flags, before it is checked.
      study: what is compared, instead of one run or what ``--sweep`` names.

    Exit codes: 0 done, 1 a loss was not finite, 2 a mistake in config, flags or data, 128 + n
    after signal n (the state is saved).
    """
    try:
        config_flags.DEFINE_config_file(
            "config", str(CONFIGS / config_file), "Config file; fields: --config.train.steps=100"
        )
    except Exception as error:  # the fields on the command line are looked up here, too
        _fail(_mistake(error), EXIT_INPUT)
    name = "CONFIG_NAME" if study is None else study.name
    flags.DEFINE_string("workdir", None, f"Run directory; runs/{name} if not given.")
    if study is None:
        flags.DEFINE_multi_string(
            "sweep",
            [],
            "Field and values: --sweep=optim.learning_rate=1e-4,2e-4. Runs, measures and compares "
            "all combinations, in runs/CONFIG_NAME_sweep; may be given more than once.",
        )
    flags.DEFINE_bool("dry_run", False, "Print devices, data, counts and memory; do not train.")
    _quieten_others()
    app.run(_parsed_main(adapt, study), flags_parser=_parse_flags)


def _quieten_others() -> None:
    """Shows our own log and the warnings of others, as plain lines."""
    here = str(Path(__file__).resolve().parent)
    handler = logging.get_absl_handler()
    handler.addFilter(
        lambda r: (
            r.pathname.startswith(here)
            or (r.levelno >= WARNING and not any(part in r.getMessage() for part in _NOISE))
        )
    )
    handler.setFormatter(Formatter("%(message)s"))
    logging.set_verbosity(logging.INFO)


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
        config = flags.FLAGS.config
        # A file that could not be read shows at the first look inside.
        if not (hasattr(config, "items") and isinstance(config, ConfigDict)):
            raise TypeError("get_config() returns no ConfigDict")
    except SystemExit:  # --help, which absl counts as a failure
        sys.exit(0)
    except Exception as error:  # anything, since the user's config file is run here
        _fail(_mistake(error), EXIT_INPUT)
    if len(rest) > 1:
        _fail(
            f"unexpected argument {rest[1]!r}: settings look like --config.train.steps=100",
            EXIT_INPUT,
        )
    return rest


def _mistake(error: Exception) -> str:
    """What was wrong with the flags or the config file, for the one who wrote them."""
    path = _config_file()
    if place := _place_in_config_file(error):
        return f"--config={path}: {place}"
    if path is not None and not Path(path).is_file():
        names = ", ".join(sorted(p.name for p in CONFIGS.glob("[!_]*.py")))
        return f"--config={path}: there is no such file; {CONFIGS} has {names}"
    text = _text(error)
    if "get_config" in text:
        return f"--config={path} needs a function get_config() that returns a ConfigDict"
    return f"{_unknown_field() or text}\nSee --help and the fields in the config file."


def _config_file() -> str | None:
    """The value of ``--config``, which its flag does not tell before all was well."""
    for argument, after in pairwise([*sys.argv[1:], ""]):
        name, equals, value = argument.partition("=")
        if name in ("--config", "-config"):
            return value.split(":")[0] if equals else after
    return None


def _place_in_config_file(error: Exception) -> str | None:
    """Line and kind of an error in the config file, if it comes from there."""
    for cause in _causes(error):
        if isinstance(cause, SyntaxError):
            return f"{cause.filename}, line {cause.lineno}: {cause.msg}"
        # ml_collections names the module of the file so.
        lines = [
            line
            for frame, line in traceback.walk_tb(cause.__traceback__)
            if frame.f_globals.get("__name__") == "config_config"
        ]
        if lines:
            return f"line {lines[-1]}: {type(cause).__name__}: {_text(cause)}"
    return None


def _unknown_field() -> str | None:
    from discogan_jax.settings import check_name  # imports JAX: seconds

    for argument in sys.argv[1:]:
        name, _, field = argument.partition("=")[0].lstrip("-").partition(".")
        if field and name in ("config", "noconfig"):
            try:
                check_name(field)
            except InputError as error:
                return f"{argument}: {error}"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came from, the first one first."""
    if error is not None:
        yield from _causes(error.__cause__ or error.__context__)
        yield error


def _text(error: BaseException) -> str:
    """An error's message: that of a KeyError is quoted as a whole, that of an OSError is not."""
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip()


def _parsed_main(adapt: Adapt | None, study: Study | None) -> Callable[[list[str]], None]:
    def main(_: list[str]) -> None:
        config = flags.FLAGS.config
        try:
            if adapt is not None:
                adapt(config)
            _start(config, study)
        except InputError as error:
            _fail(str(error), EXIT_INPUT)
        except KeyboardInterrupt:
            _fail("Stopped before training began.", 128 + signal.SIGINT)

    return main


def _start(config: ConfigDict, study: Study | None) -> None:
    flag: Any = flags.FLAGS["config"]
    name = Path(flag.config_filename).stem
    start_jax()
    # JAX is imported with its settings made, and Orbax only once the flags are known to be right.
    from discogan_jax.continuing import flat
    from discogan_jax.runs import plain
    from discogan_jax.settings import from_config
    from discogan_jax.variants import plan, product

    settings = from_config(config)
    keep_freed_memory(settings.data.batch_size * settings.data.image_size**2)
    if study is None and flags.FLAGS.sweep:
        study = Study(f"{name}_sweep", *product(flags.FLAGS.sweep))
    workdir = Path(flags.FLAGS.workdir or Path("runs") / (study.name if study else name))
    jobs = plan(config, study.variants, workdir, study.seeds) if study else []
    for field, value in flat(plain(config)).items():
        print(f"{field} = {json.dumps(value)}", flush=True)
    if flags.FLAGS.dry_run:
        from discogan_jax.dry_run import describe

        for i, job in enumerate(jobs):
            print(f"run {i + 1} of {len(jobs)}: {job.label}")
        print(describe(jobs[0].config if jobs else config))
        return
    try:
        if study is not None:
            _compare(config, study, workdir)
        else:
            _train(config, workdir)
    except DivergedError as error:
        _fail(str(error), EXIT_DIVERGED)
    except InterruptedRunError as error:
        _fail(str(error), 128 + error.signal)


def _train(config: ConfigDict, workdir: Path) -> None:
    from discogan_jax.train import train_and_evaluate

    train_and_evaluate(config, workdir)
    samples = sorted((workdir / "samples").glob("*.png"))
    print(
        f"Done. The run is in {workdir}" + (f", its last grid is {samples[-1]}" if samples else "")
    )


def _compare(config: ConfigDict, study: Study, workdir: Path) -> None:
    from discogan_jax import sweep

    say = partial(print, flush=True)
    outcomes = sweep.run(config, study.variants, workdir, seeds=study.seeds, say=say)
    say(sweep.table(outcomes, study.measures or sweep.short(outcomes)))
    say(f"Done. All measures are in {workdir / sweep.TABLE_FILE} and {sweep.RESULTS_FILE} there")
    if bad := sum(bool(outcome.why) for outcome in outcomes):
        raise DivergedError(f"{bad} of {len(outcomes)} runs diverged")


def start_jax() -> None:
    """Turns JAX's compile cache on (`JAX_COMPILATION_CACHE_DIR` moves it)."""
    import jax

    cache = Path.home() / ".cache" / "discogan_jax" / "xla"
    jax.config.update(
        "jax_compilation_cache_dir", os.environ.get("JAX_COMPILATION_CACHE_DIR", str(cache))
    )


def _fail(message: str, code: int) -> Any:
    print(message, file=sys.stderr, flush=True)
    sys.exit(code)
