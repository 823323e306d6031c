"""From a command line to a training run: flags, devices, compile cache, dry run."""

import contextlib
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from absl import app, flags
from ml_collections import ConfigDict

from discogan_jax.config import flags as config_flags
from discogan_jax.errors import (
    EXIT_DIVERGED,
    EXIT_INPUT,
    DivergedError,
    InputError,
    InterruptedRunError,
)
from discogan_jax.host import keep_freed_memory
from discogan_jax.train import log
from discogan_jax.train.interrupts import SIGNALS, Interrupts

# The flags below are those of the experiment: its --help lists them.
flags.disclaim_key_flags()

# TensorFlow, which only decodes images here, greets with notes about its own building blocks. Its
# errors still show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

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


def run(default: str, adapt: Adapt | None = None, study: Study | None = None) -> None:
    """Runs an experiment: parses the flags, trains, ends the process.

    Args:
      default: the default of ``--config``, a file in `configs/`.
      adapt: changes the config by the experiment's own flags, before it is checked.
      study: what is compared, instead of one run or what ``--sweep`` names.

    Exit codes: 0 done, 1 a loss was not finite, 2 a mistake in config, flags or data, 128 + n
    after signal n (the state is saved, unless it was the second one).
    """
    try:
        config_flags.define(config_flags.CONFIGS / default, flags.FLAGS, sys.argv)
    except InputError as error:
        _fail(str(error), EXIT_INPUT)
    name = "CONFIG_NAME" if study is None else study.name
    flags.DEFINE_string("workdir", None, f"Run directory; runs/{name} if not given.")
    if study is None:
        flags.DEFINE_multi_string(
            "sweep",
            [],
            "Field and values: --sweep=optim.learning_rate=1e-4,2e-4. Runs, measures and compares "
            "all combinations, in runs/CONFIG_NAME_sweep; may be given more than once.",
        )
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where several train one run.")
    flags.DEFINE_integer("processes", None, "How many processes train the run.")
    flags.DEFINE_integer("process", None, "Which of them this is, from 0.")
    flags.DEFINE_bool("dry_run", False, "Print devices, data, counts and memory; do not train.")
    log.show_news()
    # Of a save that fails, Orbax leaves coroutines behind; the error says what matters.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    for number in SIGNALS:
        signal.signal(number, _stop)
    try:
        app.run(_parsed_main(adapt, study), flags_parser=_parse_flags)
    except (KeyboardInterrupt, Exception) as error:
        # Extension modules that are met by a signal in their start raise errors of their own.
        if not (_HEARD or isinstance(error, KeyboardInterrupt)):
            raise
        # Not `sys.exit`, which would wait for what is being saved.
        notes = getattr(error, "__notes__", ["before training began"])
        print(f"Stopped at once: {'; '.join(notes)}.", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(128 + (_HEARD or [signal.SIGINT])[-1])


_HEARD: list[signal.Signals] = []


def _stop(number: int, _: FrameType | None) -> NoReturn:
    _HEARD.append(signal.Signals(number))
    raise KeyboardInterrupt(_HEARD[-1])


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """For imports: extension modules print errors of their own if one meets them in their start."""
    with Interrupts() as met:
        yield
    if met.signal:
        _stop(met.signal, None)


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        return config_flags.parse(flags.FLAGS, argv)
    except SystemExit:  # --help, which absl counts as a failure
        sys.exit(0)
    except InputError as error:
        return _fail(str(error), EXIT_INPUT)


def _parsed_main(adapt: Adapt | None, study: Study | None) -> Callable[[list[str]], None]:
    def main(_: list[str]) -> None:
        config = flags.FLAGS.config
        try:
            if adapt is not None:
                adapt(config)
            _start(config, study)
        except InputError as error:
            _fail(str(error), EXIT_INPUT)

    return main


def _start(config: ConfigDict, study: Study | None) -> None:
    flag: Any = flags.FLAGS["config"]
    name = Path(flag.config_filename).stem
    # JAX is imported with its settings made, and Orbax only once the flags are known to be right.
    with _signals_later():
        start_jax()
        from discogan_jax import multihost
        from discogan_jax.config.schema import from_config
        from discogan_jax.train.variants import plan, product

    settings = from_config(config)
    keep_freed_memory(settings.data.batch_size * settings.data.image_size**2)
    if study is None and flags.FLAGS.sweep:
        study = Study(f"{name}_sweep", *product(flags.FLAGS.sweep))
    workdir = Path(flags.FLAGS.workdir or Path("runs") / (study.name if study else name))
    jobs = plan(config, study.variants, workdir, study.seeds) if study else []
    asked = flags.FLAGS
    here = multihost.process_info(asked.coordinator, asked.processes, asked.process, os.environ)
    if here is not None and study is not None:
        raise InputError("several processes train one run, not one run after another: no sweep")
    try:
        with multihost.joined(here):
            _work(config, study, workdir, jobs)
    except DivergedError as error:
        _fail(str(error) if multihost.is_chief() else "", EXIT_DIVERGED)
    except InterruptedRunError as error:
        _fail(str(error) if multihost.is_chief() else "", 128 + error.signal)


def _work(config: ConfigDict, study: Study | None, workdir: Path, jobs: list[Any]) -> None:
    from discogan_jax.config.schema import flat
    from discogan_jax.multihost import is_chief
    from discogan_jax.runs.run import plain

    say = partial(print, flush=True) if is_chief() else lambda text: None
    for field, value in flat(plain(config)).items():
        say(f"{field} = {json.dumps(value)}")
    if flags.FLAGS.dry_run:
        from discogan_jax.train.dry_run import describe

        for i, job in enumerate(jobs):
            say(f"run {i + 1} of {len(jobs)}: {job.label}")
        say(describe(jobs[0].config if jobs else config))
    elif study is not None:
        _compare(config, study, workdir)
    else:
        _train(config, workdir, say)


def _train(config: ConfigDict, workdir: Path, say: Callable[[str], None]) -> None:
    with _signals_later():
        from discogan_jax.multihost import is_chief
        from discogan_jax.runs import report
        from discogan_jax.train import train_and_evaluate

    def tell() -> str:
        page = report.write([workdir]) if is_chief() else None
        return f"The run is in {workdir}, its page is {page}"

    try:
        train_and_evaluate(config, workdir)
    except (DivergedError, InterruptedRunError):
        tell()
        raise
    say(f"Done. {tell()}")


def _compare(config: ConfigDict, study: Study, workdir: Path) -> None:
    from discogan_jax.train import sweep

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
    if message:
        print(message, file=sys.stderr, flush=True)
    sys.exit(code)
