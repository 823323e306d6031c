"""Prints a script for a shell, which then completes without starting Python.

bash: discogan completion bash > ~/.local/share/bash-completion/completions/discogan
zsh: into the file _discogan of a folder in $fpath. tcsh: source it in ~/.tcshrc.
"""

import argparse
from itertools import chain

from discogan_jax.commands import frame

_FILES = ("RUN", "INPUT", "FILE")  # a run may be an exported file
_FOLDERS = ("DIR", "PATH")


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    import shtab

    whole = arguments.make_parser()
    commands = next(a.choices for a in whole._actions if a.dest == "command")
    for action in chain.from_iterable(command._actions for command in commands.values()):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    print(shtab.complete(whole, arguments.shell))
    return 0
