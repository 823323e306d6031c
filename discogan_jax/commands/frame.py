"""The frame of every command: flags, exit codes, signals, the log, and messages about mistakes.

A command is a parser and a function of the parsed arguments that does the work and returns the exit
code. Nothing slow is imported before that function is called: ``--help`` must not wait for JAX.
"""

import argparse
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from discogan_jax import errors
from discogan_jax.commands import streams
from discogan_jax.commands.signals import Signals
from discogan_jax.errors import InputError, printable

EXIT_CODES = """\
exit codes:
  0        done, if need be with the checkpoint before a damaged one, as reported
  1        verify or runs found damage, something was skipped or diverged, as reported; or a bug
  2        a mistake in the arguments, the config or the data: one line says which
  128 + n  stopped by signal n; 130 after Ctrl-C
"""

Run = Callable[[argparse.Namespace], int]

# The page of the documentation that helps, by the part of the package that an error is from.
PAGES = {
    "commands/serve": ("serve", "Serving a run as a web page"),
    "commands/translate": ("translate", "Translating your own pictures"),
    "serve/": ("serve", "Serving a run as a web page"),
    "export/": ("export", "Exports and model cards"),
    "evaluation/": ("measures", "Measures"),
    "runs/weights": ("finetuning", "Starting from trained weights"),
    "runs/": ("training", "Training"),
    "train/": ("training", "Training"),
    "config/": ("training", "Training"),
    "host": ("training", "Training"),
    "data/download": ("training", "Training"),
    "data/pix2pix/": ("training", "Training"),
    "data/": ("folders", "Training on your own pictures"),
}

# Errors in the threads of these packages are raised in the training loop, too.
_RAISED_ANYWAY = {"orbax", "clu", "asyncio"}
_MAX_MESSAGE = 300  # characters that are shown of an unexpected error's own message


class Parser(argparse.ArgumentParser):
    """An argument parser that takes config fields and reports mistakes as `InputError`."""

    def __init__(self, **fields: Any) -> None:
        # An experiment, also where its file is started.
        main = Path(getattr(sys.modules["__main__"], "__file__", None) or "").absolute()
        parts = main.with_suffix("").parts[-3 if main.stem == "__main__" else -2 :]
        if parts[0] == "experiments":
            fields.setdefault("prog", f"python -m {'.'.join(parts[:2])}")
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **fields)

    def add_run(self, what: str = "run directory, or one of its checkpoints") -> None:
        """Adds the argument ``RUN`` and the flag ``--step``, for `runs.open` and the like."""
        self.add_argument("run", metavar="RUN", type=path, help=what)
        self.add_argument(
            "--step",
            type=_step,
            help="checkpoint to use, or best: the best one by the run's train.keep_best; the last "
            "one if not given",
        )

    def add_work(self, run: Run, *, verbose: bool = False) -> None:
        """Completes the parser of a command.

        Args:
          run: function that does the work.
          verbose: whether messages and warnings in the log are shown, and not only errors.
        """
        self.add_argument("--debug", action="store_true", help="show where an unexpected error was")
        self.set_defaults(work=run, verbose=verbose, parser=self)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses arguments; config fields among them become `fields` where a command takes them."""
        parsed, rest = self.parse_known_args(args, namespace)
        # argparse does not know the fields: all that is unknown to it is a field or a mistake.
        takes_fields = hasattr(parsed, "fields")
        for word in rest:
            if word.startswith("-") and not (takes_fields and word.startswith("--config.")):
                raise InputError(f"{word}: {_unknown_flag(word.partition('=')[0], parsed)}")
            if not takes_fields:
                parsed.parser.error(f"unexpected argument {word!r}")
        # The flag that stands for all fields in --help is none itself.
        parsed.fields = rest + (["--config.FIELD"] if getattr(parsed, "fields", ()) else [])
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raises an `InputError`."""
        raise InputError(f"{message}; see {self.prog} --help")


def _unknown_flag(name: str, parsed: argparse.Namespace) -> str:
    """Says that a command has no such flag, and which one was meant."""
    from discogan_jax.config import hints

    fields: list[str] = []
    if hasattr(parsed, "fields"):
        from discogan_jax.config import schema, validate  # imports JAX: seconds

        fields = validate.names(schema.Settings)
    # The entry --config.FIELD is for --help.
    flags = [flag for flag in parsed.parser._option_string_actions if "." not in flag]
    meant = hints.hint(name, fields, flags) or f"see {parsed.parser.prog} --help"
    return f"unknown flag {name.lstrip('-')!r}: {meant}"


def path(text: str) -> Path:
    """Converts an argument to a path; ``~`` is the home folder."""
    from discogan_jax.files import expanded  # imports what --help does without

    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    try:
        text.encode()  # TensorFlow, Orbax and HTML files know no other names
        return expanded(text)
    except UnicodeEncodeError as error:
        problem = f"{text} holds bytes that are no UTF-8: rename it"
        raise argparse.ArgumentTypeError(problem) from error
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _step(text: str) -> int | str:
    """Converts the value of ``--step``."""
    if text != "best" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a step nor best")
    return text if text == "best" else int(text)


def main(make_parser: Callable[[], Parser], words: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
      make_parser: makes the parser of the command line.
      words: arguments. None stands for those of the process, which then is the command's own:
        signals are handled, the log is set up, and after a signal the process ends right here.

    Returns:
      The exit code, see `EXIT_CODES`.
    """
    signals = None
    if words is None:
        streams.replace()
        signals = Signals()
    message, code = _attempt(make_parser, words, signals)
    # One line for people, a code for programs.
    if message:
        say(message, sys.stderr)
    if signals and (lost := streams.lost()):
        code = code or _lost_output(lost)
    if signals and signals.came:
        # Not `sys.exit`, which would wait for a checkpoint that is being saved.
        os._exit(code)
    return code


def _attempt(
    make_parser: Callable[[], Parser], words: Sequence[str] | None, signals: Signals | None
) -> tuple[str, int]:
    """Does the work that the arguments ask for; returns a last message and the exit code."""
    debug = False
    try:
        arguments = make_parser().parse_args(words)
        debug = arguments.debug
        if signals:
            _set_up_process(arguments.verbose)
        try:
            code = arguments.work(arguments)
            if signals and signals.waiting:
                raise KeyboardInterrupt(signals.came[-1])
        except SystemExit as error:
            raise RuntimeError(f"sys.exit({error.code!r}) has ended the work") from error
        finally:
            sys.stdout.flush()
    except SystemExit as error:  # of --help and --version
        if not signals:
            raise
        code = int(error.code or 0)
    except (KeyboardInterrupt, Exception) as error:
        if signals:
            signals.stop_handling()
        ending = _ending(error, signals.came if signals else [])
        if ending is None and debug:
            raise
        return ending or (_bug(error), errors.EXIT_BUG)
    return "", code


def say(text: str, file: TextIO | None = None) -> None:
    """Prints a text at once, with escapes for control characters in names that it holds.

    Args:
      text: one line or several.
      file: standard output if None.
    """
    print(printable(text), file=file, flush=True)


def _ending(error: BaseException, came: Sequence[signal.Signals]) -> tuple[str, int] | None:
    """Returns the message and the exit code of an error; None for an unexpected one."""
    match error:
        case InputError():
            return _with_page(str(error), _part(error)), errors.EXIT_INPUT
        case errors.DivergedError():
            code = errors.EXIT_DIVERGED
        case errors.InterruptedRunError():
            code = 128 + error.signal
        # Extension modules turn the exception of a signal into errors of their own.
        case _ if came or isinstance(error, KeyboardInterrupt):
            notes = "; ".join(getattr(error, "__notes__", []))
            message = f"Stopped at once: {notes}." if notes else "Stopped."
            return message, 128 + (came[-1] if came else signal.SIGINT)
        case ModuleNotFoundError(name="experiments"):  # the file of one was started
            return f"{error}: start it with python -m, as its --help shows", errors.EXIT_INPUT
        case OSError(filename=str() | Path() as name):
            return f"{name}: {error.strerror}", errors.EXIT_INPUT
        case _:
            from discogan_jax import host

            explained = host.explain(error)
            return (_with_page(explained, "host"), errors.EXIT_INPUT) if explained else None
    return str(error), code


def _part(error: InputError) -> str | None:
    """Finds the part of the package that an error is from and that has a page."""
    here = Path(__file__).parents[1]
    # The innermost part that has a page: an error of a folder is raised by the training, too.
    for place in reversed(traceback.extract_tb(error.__traceback__)):
        if here in (file := Path(place.filename)).parents:
            name = file.relative_to(here).as_posix()
            if part := next((part for part in PAGES if name.startswith(part)), None):
                return part
    return None


def _with_page(message: str, part: str | None) -> str:
    """Adds the page that helps to a message; in a line of its own where there are several."""
    if part is None:
        return message
    name, title = PAGES[part]
    joint = "\n" if "\n" in message else " " if message[-1:] in ".?!" else ". "
    return f'{message}{joint}See docs/{name}.md, "{title}".'


def _lost_output(error: OSError) -> int:
    """Says that a part of the output is lost, unless nobody reads it, and returns the exit code."""
    if isinstance(error, BrokenPipeError):  # `| head` has seen enough
        return errors.EXIT_CUT_OFF
    say(f"The output could not be written ({error.strerror}), a part of it is lost.", sys.stderr)
    return errors.EXIT_INPUT


def _bug(error: BaseException) -> str:
    """Describes an unexpected error in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    here = str(Path(__file__).parents[1])
    ours = [frame for frame in frames[1:] if frame.filename.startswith(here)]  # the first is `main`
    place = (ours or frames)[-1]
    text = " ".join(str(error).split())[:_MAX_MESSAGE]
    return (
        f"{type(error).__name__}: {text} ({Path(place.filename).name}, line {place.lineno}). "
        "This is a bug; --debug shows where."
    )


def _set_up_process(verbose: bool) -> None:
    """Sets up the environment, the terminal and the log of a command's process.

    Args:
      verbose: whether messages and warnings are shown, and not only errors.
    """
    # TensorFlow, which only decodes images here, prints notes about its optimizations at the start.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    # Orbax leaves coroutines behind when a save fails; the error that it raises is enough.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    # Pillow warns of damaged pictures without naming them; where one is not read, its error does.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    _show_log(logging.INFO if verbose else logging.ERROR)


def _show_log(level: int) -> None:
    """Shows the messages of this package, and the warnings of others that concern the user.

    Args:
      level: level of the package's least important messages that are shown.
    """
    from absl import logging as absl_logging  # else its messages would not know where they are from

    here = str(Path(__file__).resolve().parents[1])

    def concerns_user(record: logging.LogRecord) -> bool:
        return record.pathname.startswith(here) or (
            record.levelno >= logging.WARNING
            and _RAISED_ANYWAY.isdisjoint(Path(record.pathname).parts)
            and "is deprecated" not in record.getMessage()
        )

    handler = logging.StreamHandler()
    handler.addFilter(concerns_user)
    handler.setFormatter(_Line())
    logging.getLogger().addHandler(handler)
    absl_logging.get_absl_logger().setLevel(level)


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
