"""The arguments of a command that name a config, and the config that they describe."""

import argparse
import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from discogan_jax.errors import InputError, causes

if TYPE_CHECKING:
    from ml_collections import ConfigDict

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
"""The configs that come with the package."""

_OF_FOLDERS = "folders"  # the config for `--a` and `--b` if none is named


def add_arguments(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Adds the arguments that name a config.

    Args:
      parser: takes the arguments.
      default: name of a shipped config. None makes the config a positional argument, which may be
        missing only beside ``--a`` and ``--b``; these must be given beside "folders".
    """
    names = ", ".join(shipped())
    if default is None:
        parser.add_argument(
            "name", metavar="CONFIG", nargs="?", help=f"config file, or one of {names}"
        )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"config file; {default} if not given" if default else "the same as CONFIG",
    )
    # `parse_args` of the frame collects these; the entry is for --help.
    parser.add_argument(
        "--config.FIELD",
        metavar="VALUE",
        dest="fields",
        default=[],
        help="value of a config field: --config.train.steps=100",
    )
    for letter in "ab":
        parser.add_argument(
            f"--{letter}",
            metavar="FOLDER",
            required=default == _OF_FOLDERS,
            help=f"folder of images of domain {letter}, instead of config.data.source_{letter}",
        )
    parser.set_defaults(default_config=default)


def shipped() -> list[str]:
    """The names of the configs that come with the package."""
    return sorted(path.stem for path in CONFIGS.glob("[!_]*.py"))


def find(arguments: argparse.Namespace) -> Path:
    """Finds the config file that the arguments name, which may be missing.

    Raises:
      InputError: none is named, or two are.
    """
    named = [name for name in (getattr(arguments, "name", None), arguments.config) if name]
    if len(named) == 2:
        raise InputError(f"CONFIG is given twice: {named[0]} and --config={named[1]}")
    of_folders = _OF_FOLDERS if arguments.a or arguments.b else None
    name = next(iter(named), arguments.default_config or of_folders)
    if name is None:
        raise InputError(f"CONFIG is missing: a config file, or one of {', '.join(shipped())}")
    file = Path(name)
    ours = CONFIGS / f"{file.stem}.py"
    # `configs/sample.py` works outside of a checkout, too.
    elsewhere = file.suffix == ".py" and not file.exists() and str(file.parent) in (".", "configs")
    return ours if ours.is_file() and (name == file.stem or elsewhere) else file


def read(arguments: argparse.Namespace) -> "ConfigDict":
    """Reads the config that the arguments describe: its file, then folders, then fields.

    Args:
      arguments: from a parser with `add_arguments`.

    Raises:
      InputError: an argument, the config file or one of its fields is wrong.
    """
    config = load(find(arguments), arguments.fields)
    if arguments.a or arguments.b:
        _use_folders(config, arguments)
    return config


def load(file: Path | str, fields: Sequence[str] = ()) -> "ConfigDict":
    """Runs a config file and changes fields of its config.

    Args:
      file: config file.
      fields: ``--config.FIELD=VALUE`` each.

    Raises:
      InputError: the config file or one of the fields is wrong.
    """
    from absl import flags
    from ml_collections import ConfigDict, config_flags

    values, argv = flags.FlagValues(), ["", f"--config={file}", *fields]
    try:
        config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
        rest = values(argv)
        # A file that could not be read shows at the first look inside.
        if not (hasattr(values.config, "items") and isinstance(values.config, ConfigDict)):
            raise TypeError("get_config() returns no ConfigDict")
    except Exception as error:  # anything, since the user's config file is run here
        raise InputError(_mistake(error, file, fields)) from error
    if len(rest) > 1:
        raise InputError(
            f"unexpected argument {rest[1]!r}: settings look like --config.train.steps=100"
        )
    return values.config


def _use_folders(config: "ConfigDict", arguments: argparse.Namespace) -> None:
    """Puts two folders, and their names as those of the domains, into a config."""
    folders = arguments.a, arguments.b
    if missing := [f"--{d}=FOLDER" for d, folder in zip("ab", folders, strict=True) if not folder]:
        raise InputError(f"{' and '.join(missing)} missing: the folders to translate between")
    config.data.source_a, config.data.source_b = (f"folder:{folder}" for folder in folders)
    if not any(field.startswith("--config.domains") for field in arguments.fields):
        # `Path.resolve` raises at links in a circle, which the source itself reports better.
        names = tuple(Path(os.path.realpath(folder)).name for folder in folders)
        usable = names[0] != names[1] and all(name and name.isprintable() for name in names)
        config.domains = names if usable else ("a", "b")


def _mistake(error: Exception, file: Path | str, fields: Sequence[str]) -> str:
    """Describes what is wrong with the config file or the fields to whoever wrote them."""
    if place := _place_in_config_file(error):
        return f"--config={file}: {place}"
    if not Path(str(file).partition(":")[0]).is_file():
        names = ", ".join(f"{name}.py" for name in shipped())
        return f"--config={file}: there is no such file; this package has {names}"
    text = _text(error)
    if "get_config" in text:
        return f"--config={file} needs a function get_config() that returns a ConfigDict"
    return f"{_unknown_field(fields) or text}\nSee --help and the fields in the config file."


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


def _unknown_field(fields: Sequence[str]) -> str | None:
    """Describes the first field that no config has."""
    from discogan_jax.config.schema import check_name  # imports JAX: seconds

    for field in fields:
        name = field.partition("=")[0].partition(".")[2]
        if name:
            try:
                check_name(name)
            except InputError as error:
                return f"{field}: {error}"
    return None


def _text(error: BaseException) -> str:
    """An error's message: that of a KeyError is quoted as a whole, that of an OSError is not."""
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip()
