"""The `discogan` command: a table of its subcommands, which are modules of `commands`."""

import sys

try:
    import argparse
    import importlib
    import inspect
    from collections.abc import Sequence

    import discogan_jax
    from discogan_jax.commands import frame
except KeyboardInterrupt:  # the frame is not there yet to end without a traceback
    sys.exit(130)

COMMANDS = {
    "train": "train a run, or several to compare",
    "translate": "translate pictures of your own",
    "match": "find the pictures of a folder that go with your own",
    "serve": "translate pictures on a web page",
    "report": "write a page about a run, or several side by side",
    "evaluate": "measure a run on its held-out images",
    "export": "write a run for use without this code, or as a page without a server",
    "card": "write a folder to share: model card and checkpoint",
    "runs": "list runs: state, step, speed, losses, evaluation",
    "verify": "check the checkpoints of a run for damage",
    "prepare": "download and decode the data of a run in advance",
    "doctor": "check packages, devices, data and disk",
    "completion": "print a script that completes commands, options and files",
}
"""Names and help, in the order of ``--help``. Each module has `add_arguments` and `run`."""


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command, see its ``--help``.

    Args:
      words: arguments; None for those of the process, see `frame.main`.

    Returns:
      The exit code.
    """
    typed = sys.argv[1:] if words is None else words
    named = next((word for word in typed if not word.startswith("-")), "")
    # Only the module of the command in question is imported.
    return frame.main(lambda: parser([named] if named in COMMANDS else []), words)


def parser(filled: Sequence[str] = tuple(COMMANDS)) -> frame.Parser:
    """The command line.

    Args:
      filled: subcommands that get their arguments; the others have only a name.
    """
    whole = frame.Parser(
        prog="discogan",
        description="Trains networks that translate between two kinds of images, and uses them.",
        epilog=frame.EXIT_CODES,
    )
    version = f"discogan_jax {discogan_jax.__version__}"
    whole.add_argument("-V", "--version", action="version", version=version)
    # Without a command, it lists them.
    whole.set_defaults(make_parser=parser, parser=whole, work=_list, verbose=False, debug=False)
    subparsers = whole.add_subparsers(metavar="COMMAND", dest="command")
    for name, text in COMMANDS.items():
        command = subparsers.add_parser(name, help=text)
        if name in filled:
            module = importlib.import_module(f"discogan_jax.commands.{name}")
            command.description = inspect.getdoc(module)
            module.add_arguments(command)
            # What trains or prepares data reports its progress in the log.
            command.add_work(module.run, verbose=name in ("train", "prepare"))
    return whole


def _list(arguments: argparse.Namespace) -> int:
    frame.say(arguments.parser.format_help())
    return 0


if __name__ == "__main__":
    sys.exit(main())
