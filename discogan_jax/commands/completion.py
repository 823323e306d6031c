"""`discogan completion`: what a shell needs to complete the command."""

import argparse
from collections.abc import Iterator
from typing import Any

_FILES = ("RUN", "INPUT", "FILE")  # a run may be an exported file
_FOLDERS = ("DIR",)


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    command = commands.add_parser(
        "completion",
        help="print a script that completes commands, options and files",
        description="Prints a script for a shell, which then completes without starting Python. "
        "bash: discogan completion bash > ~/.local/share/bash-completion/completions/discogan. "
        "zsh: into the file _discogan of a folder in $fpath. tcsh: source it in ~/.tcshrc.",
    )
    command.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    command.set_defaults(function=_run)


def _run(arguments: argparse.Namespace) -> int:
    import shtab

    from discogan_jax import cli

    whole = cli.parser()
    for action in _actions(whole):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    print(shtab.complete(whole, arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
