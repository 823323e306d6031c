"""The config file and the fields that a command line names, and what is wrong with them."""

import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from discogan_jax.errors import InputError, causes

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
"""Those of the source code; an installed package comes without."""


def define(default: Path | None, values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Defines ``--config`` and the fields that are named on the command line.

    Args:
      default: the config file if none is named; None, or one that is not there, for none.
      values: takes the flags.
      argv: the command line, program first.

    Raises:
      InputError: the file cannot be read, or a field is not in it.
    """
    try:
        config_flags.DEFINE_config_file(
            "config",
            str(default) if default and default.is_file() else None,
            "Config file; fields: --config.train.steps=100",
            flag_values=values,
            sys_argv=list(argv),
        )
    except Exception as error:  # the fields on the command line are looked up here, too
        raise InputError(_mistake(error, argv)) from error


def parse(values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
    """Parses a command line.

    Args:
      values: has the flags.
      argv: the command line, program first.

    Returns:
      The program.

    Raises:
      InputError: a flag, the config file or one of its fields is wrong.
      SystemExit: help was asked for, and printed.
    """
    try:
        rest = values(list(argv))
        config = values.config
        if config is None:
            raise InputError(f"--config=FILE is missing; {_there()}")
        # A file that could not be read shows at the first look inside.
        if not (hasattr(config, "items") and isinstance(config, ConfigDict)):
            raise TypeError("get_config() returns no ConfigDict")
    except InputError:
        raise
    except Exception as error:  # anything, since the user's config file is run here
        raise InputError(_mistake(error, argv)) from error
    if len(rest) > 1:
        raise InputError(
            f"unexpected argument {rest[1]!r}: settings look like --config.train.steps=100"
        )
    return rest


def read(file: str, fields: Sequence[str]) -> ConfigDict:
    """The config that a training command would use.

    Args:
      file: its ``--config``.
      fields: its ``--config.FIELD=VALUE``.

    Raises:
      InputError: see `parse`.
    """
    values, argv = flags.FlagValues(), ["", f"--config={file}", *fields]
    define(None, values, argv)
    parse(values, argv)
    return values.config


def _mistake(error: Exception, argv: Sequence[str]) -> str:
    """What was wrong with the flags or the config file, for the one who wrote them."""
    path = _named(argv)
    if place := _place_in_config_file(error):
        return f"--config={path}: {place}"
    if path is not None and not Path(path).is_file():
        return f"--config={path}: there is no such file; {_there()}"
    text = _text(error)
    if "get_config" in text:
        return f"--config={path} needs a function get_config() that returns a ConfigDict"
    return f"{_unknown_field(argv) or text}\nSee --help and the fields in the config file."


def _there() -> str:
    """Which config files there are."""
    names = ", ".join(sorted(p.name for p in CONFIGS.glob("[!_]*.py")))
    return f"{CONFIGS} has {names}" if names else "the source code comes with some, in configs/"


def _named(argv: Sequence[str]) -> str | None:
    """The value of ``--config``, which its flag does not tell before all was well."""
    for argument, after in pairwise([*argv[1:], ""]):
        name, equals, value = argument.partition("=")
        if name in ("--config", "-config"):
            return value.split(":")[0] if equals else after
    return None


def _place_in_config_file(error: Exception) -> str | None:
    """Line and kind of an error in the config file, if it comes from there."""
    for cause in causes(error):
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


def _unknown_field(argv: Sequence[str]) -> str | None:
    from discogan_jax.config.schema import check_name  # imports JAX: seconds

    for argument in argv[1:]:
        name, _, field = argument.partition("=")[0].lstrip("-").partition(".")
        if field and name in ("config", "noconfig"):
            try:
                check_name(field)
            except InputError as error:
                return f"{argument}: {error}"
    return None


def _text(error: BaseException) -> str:
    """An error's message: that of a KeyError is quoted as a whole, that of an OSError is not."""
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip()
