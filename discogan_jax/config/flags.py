"""The arguments of a command that name a config, and the config that they describe."""

import argparse
import ast
import os
import runpy
import textwrap
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discogan_jax.config import hints
from discogan_jax.errors import InputError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from discogan_jax.config.schema import Settings

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
"""The configs that come with the package."""

_OF_FOLDERS = "folders"  # the config for `--a` and `--b` if none is named
_LARGER = 64  # pixels of a new run's pictures with that config on an accelerator


class _Once(argparse.Action):
    """Stores a value, and refuses a second one."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, value: Any, flag: str | None = None
    ) -> None:
        if (before := getattr(namespace, self.dest)) is not None:
            raise InputError(f"{flag} is given twice: {before} and {value}")
        setattr(namespace, self.dest, value)


def add_arguments(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Adds the arguments that name a config.

    Args:
      parser: takes the arguments.
      default: name of a shipped config. None makes the config a positional argument, which may be
        missing only beside ``--a`` and ``--b``, which must be given beside "folders", or beside
        fields that name sources.
    """
    names = ", ".join(shipped())
    if default is None:
        parser.add_argument(
            "name", metavar="CONFIG", nargs="?", help=f"config file, or one of {names}"
        )
    parser.add_argument(
        "--config",
        action=_Once,
        metavar="FILE",
        help=f"config file; {default} if not given" if default else "the same as CONFIG",
    )
    # `parse_args` of the frame collects these; the entry is for --help.
    parser.add_argument(
        "--config.FIELD",
        metavar="VALUE",
        dest="fields",
        default=[],
        help="value of a config field, as in --config.train.steps=100; --help_settings of "
        "'discogan train' explains all fields",
    )
    for letter in "ab":
        parser.add_argument(
            f"--{letter}",
            action=_Once,
            metavar="FOLDER",
            help=f"folder of images of domain {letter}, instead of config.data.source_{letter}; "
            "given for both, one that holds trainA and trainB is both",
        )
    parser.set_defaults(default_config=default)
    parser.epilog = "\n".join(["configs:", *_described(), "", parser.epilog or ""])


def shipped() -> list[str]:
    """The names of the configs that come with the package."""
    return sorted(path.stem for path in CONFIGS.glob("[!_]*.py"))


def _described() -> Iterator[str]:
    """Yields lines about the shipped configs: each one's name, and how its file begins."""
    for name in shipped():
        with (CONFIGS / f"{name}.py").open(encoding="utf-8") as file:
            text = f"  {name:<14}" + file.readline().strip().strip('"')
        yield textwrap.fill(text, 80, subsequent_indent=" " * 16)


def named(arguments: argparse.Namespace) -> bool:
    """Whether the arguments, or the command itself, name a config."""
    words = getattr(arguments, "name", None), arguments.config, arguments.default_config
    return any(words) or _name_folders(arguments)


def label(arguments: argparse.Namespace) -> str:
    """Names the config file of the arguments for people."""
    file = find(arguments)
    return f"config {file.stem}" if file.resolve().parent == CONFIGS else str(file)


def find(arguments: argparse.Namespace) -> Path:
    """Finds the config file that the arguments name, which may be missing.

    Raises:
      InputError: none is named, or two are.
    """
    from discogan_jax.files import expanded  # imports what --help does without

    # CONFIG, --config, or a default.
    named = [name for name in (getattr(arguments, "name", None), arguments.config) if name]
    if len(named) == 2:
        raise InputError(f"CONFIG is given twice: {named[0]} and --config={named[1]}")
    of_folders = _OF_FOLDERS if _name_folders(arguments) else None
    name = next(iter(named), arguments.default_config or of_folders)
    if name is None:
        raise InputError(
            f"CONFIG is missing: a config file, or one of {', '.join(shipped())}; with two folders "
            "of pictures, --a=FOLDER --b=FOLDER, none is needed"
        )
    file = expanded(name)
    ours = CONFIGS / f"{file.stem}.py"
    # `configs/sample.py` works outside of a checkout, too.
    elsewhere = file.suffix == ".py" and not file.exists() and str(file.parent) in (".", "configs")
    return ours if ours.is_file() and (name == file.stem or elsewhere) else file


def _name_folders(arguments: argparse.Namespace) -> bool:
    sources = (field.startswith("--config.data.source_") for field in arguments.fields)
    return bool(arguments.a or arguments.b or any(sources))


def leave_open(arguments: argparse.Namespace) -> bool:
    """Whether a run that is there keeps its own settings, and the machine sets a new one's size."""
    return find(arguments).resolve() == CONFIGS / f"{_OF_FOLDERS}.py"


def fit_machine(config: "ConfigDict", typed: Collection[str], say: Callable[[str], None]) -> None:
    """Sets the size of a new run's pictures to what this machine trains in reasonable time.

    Args:
      config: that of `leave_open`.
      typed: dotted names of fields that were given; a size that was is left alone.
      say: prints a line about the size.
    """
    if "data.image_size" in typed:
        return
    import jax

    on_cpu = jax.default_backend() == "cpu"
    if not on_cpu:
        config.data.image_size = _LARGER
    here, there = (
        ("a CPU", f"{_LARGER} px on an accelerator")
        if on_cpu
        else ("an accelerator", "less on a CPU")
    )
    say(
        f"a new run on {here}: pictures of {config.data.image_size} px ({there}); "
        "--config.data.image_size changes that"
    )


def names(arguments: argparse.Namespace) -> set[str]:
    """Returns the dotted names of the fields that the arguments change in the config file."""
    typed = {field.partition("=")[0].removeprefix("--config.") for field in arguments.fields}
    return typed | ({"data.source_a", "data.source_b", "domains"} if arguments.a else set())


def read(arguments: argparse.Namespace, own: "Settings | None" = None) -> "ConfigDict":
    """Reads the config that the arguments describe: its file, then folders, then fields.

    Args:
      arguments: from a parser with `add_arguments`.
      own: the settings of a run that is there, in place of the file.

    Raises:
      InputError: an argument, the config file or one of its fields is wrong.
    """
    if own is None:
        config = load(find(arguments), arguments.fields)
    else:
        from ml_collections import ConfigDict

        from discogan_jax.config.schema import to_json

        config = ConfigDict(to_json(own), type_safe=False)
        for field in arguments.fields:
            _set(config, field)
    lacking = own is None and leave_open(arguments) and not _name_folders(arguments)
    if arguments.a or arguments.b or lacking:
        _use_folders(config, arguments)
    return config


def named_by_folders(arguments: argparse.Namespace) -> bool:
    """Whether the domains have no other names than those of their folders."""
    typed = any(field.startswith("--config.domains") for field in arguments.fields)
    return bool(arguments.a and not typed)


def load(file: Path | str, fields: Sequence[str] = ()) -> "ConfigDict":
    """Runs a config file and changes fields of its config.

    Args:
      file: config file; what follows a colon is passed to its `get_config`.
      fields: ``--config.FIELD=VALUE`` each.

    Raises:
      InputError: the config file or one of the fields is wrong.
    """
    from ml_collections import ConfigDict

    path, *argument = str(file).split(":", 1)
    if not Path(path).is_file():
        names = ", ".join(f"{name}.py" for name in shipped())
        raise InputError(f"--config={path}: there is no such file; this package has {names}")
    try:
        get_config = runpy.run_path(path).get("get_config")
        config = get_config(*argument) if get_config else None
    except (Exception, SystemExit) as error:  # anything, since the user's file is run here
        raise InputError(f"--config={path}: {_mistake(error, path)}") from error
    if not isinstance(config, ConfigDict):
        raise InputError(f"--config={path} needs a function get_config() that returns a ConfigDict")
    for field in fields:
        _set(config, field)
    return config


def _mistake(error: BaseException, path: str) -> str:
    """Describes an error in a config file to whoever wrote it."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    line = next(frame.lineno for frame in reversed(frames) if frame.filename == path)
    if isinstance(error, AttributeError) and type(error.obj).__name__ == "ConfigDict":
        from discogan_jax.config import validate  # imports JAX: seconds
        from discogan_jax.config.schema import Settings

        meant = hints.hint(error.name or "", validate.names(Settings)) or validate.HELP
        return f"line {line}: there is no field {error.name!r}: {meant}"
    return f"line {line}: {type(error).__name__}: {error}"


def _set(config: "ConfigDict", argument: str) -> None:
    """Changes the field of a config that an argument names."""
    from discogan_jax.config import validate  # imports JAX: seconds
    from discogan_jax.config.schema import Domains, Settings

    name, equals, text = argument.removeprefix("--config.").partition("=")
    if not argument.startswith("--"):
        raise InputError(f"unexpected argument {name!r}: fields look like --config.train.steps=100")
    try:
        field = validate.find(Settings, name)
        if not equals:
            raise InputError(f"a value is missing: --config.{name}=VALUE")
        names = field.type is Domains
        value = ast.literal_eval(text) if names else validate.parse(field, text)
    except (InputError, ValueError, SyntaxError) as error:
        raise InputError(f"{argument}: {error}") from error
    with config.ignore_type():  # `schema.from_config` knows the types
        config.update_from_flattened_dict({name: value})


def _use_folders(config: "ConfigDict", arguments: argparse.Namespace) -> None:
    """Puts two folders, and their names as those of the domains, into a config."""
    # Both are needed.
    folders = arguments.a, arguments.b
    if missing := [f"--{d}=FOLDER" for d, folder in zip("ab", folders, strict=True) if not folder]:
        raise InputError(f"{' and '.join(missing)} missing: the folders to translate between")
    from discogan_jax.files import expanded

    domains, real = None, [Path(os.path.realpath(expanded(folder))) for folder in folders]
    if real[0] == real[1]:
        from discogan_jax.data import listing  # imports NumPy and Pillow

        domains = listing.two_domains(expanded(folders[0]))
    both = domains or folders
    config.data.source_a, config.data.source_b = (f"folder:{folder}" for folder in both)
    if named_by_folders(arguments):
        # `Path.resolve` raises at links in a circle, which the source itself reports better.
        names = tuple(folder.name for folder in real)
        usable = names[0] != names[1] and all(name and name.isprintable() for name in names)
        config.domains = names if usable else ("a", "b")
