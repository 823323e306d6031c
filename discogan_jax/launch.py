"""From a command line to a training run: flags, devices, compile cache, dry run."""

import json
import os
import sys
from collections.abc import Callable
from logging import WARNING, Formatter
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from discogan_jax.errors import DivergedError, InputError, InterruptedRunError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
EXIT_INPUT = 2
EXIT_DIVERGED = 1

# TensorFlow, which only decodes images here, greets with notes about its own building blocks. Its
# errors still show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

Adapt = Callable[[ConfigDict], None]


def run(config_file: str, adapt: Adapt | None = None) -> None:
    """Runs an experiment: parses the flags, trains, ends the process.

    Args:
      config_file: the default of ``--config``, a file in `configs/`.
      adapt: changes the config by the experiment's own flags, before it is checked.

    Exit codes: 0 done, 1 a loss was not finite, 2 a mistake in config, flags or data, 128 + n
    after signal n (the state is saved).
    """
    config_flags.DEFINE_config_file(
        "config", str(CONFIGS / config_file), "Config file; single fields: --config.train.steps=100"
    )
    flags.DEFINE_string("workdir", None, "Run directory; runs/CONFIG_NAME if not given.")
    flags.DEFINE_bool("dry_run", False, "Print devices, data, counts and memory; do not train.")
    _quieten_others()
    app.run(_parsed_main(adapt), flags_parser=_parse_flags)


def _quieten_others() -> None:
    """Shows our own log and the warnings of others, as plain lines."""
    here = str(Path(__file__).resolve().parent)
    handler = logging.get_absl_handler()
    handler.addFilter(lambda r: r.levelno >= WARNING or r.pathname.startswith(here))
    handler.setFormatter(Formatter("%(message)s"))
    logging.set_verbosity(logging.INFO)


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        text = str(error.args[0] if error.args else error).strip()
        _fail(f"{text}\nSee --help and the fields in the config file.", EXIT_INPUT)
    if len(rest) > 1:
        _fail(f"unexpected argument {rest[1]!r}: settings look like --config.train.steps=100", 2)
    return rest


def _parsed_main(adapt: Adapt | None) -> Callable[[list[str]], None]:
    def main(_: list[str]) -> None:
        config = flags.FLAGS.config
        try:
            if adapt is not None:
                adapt(config)
            _start(config)
        except InputError as error:
            _fail(str(error), EXIT_INPUT)

    return main


def _start(config: ConfigDict) -> None:
    flag: Any = flags.FLAGS["config"]
    workdir = Path(flags.FLAGS.workdir or Path("runs") / Path(flag.config_filename).stem)
    start_jax()
    # JAX is imported with its settings made, and Orbax only once the flags are known to be right.
    from discogan_jax.runs import plain
    from discogan_jax.settings import flat, from_config
    from discogan_jax.train import train_and_evaluate

    from_config(config)
    for field, value in flat(plain(config)).items():
        print(f"{field} = {json.dumps(value)}", flush=True)
    if flags.FLAGS.dry_run:
        from discogan_jax.dry_run import describe

        print(describe(config))
        return
    try:
        train_and_evaluate(config, workdir)
    except DivergedError as error:
        _fail(str(error), EXIT_DIVERGED)
    except InterruptedRunError as error:
        _fail(str(error), 128 + error.signal)
    samples = sorted((workdir / "samples").glob("*.png"))
    print(
        f"Done. The run is in {workdir}" + (f", its last grid is {samples[-1]}" if samples else "")
    )


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
