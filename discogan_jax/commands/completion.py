"""Prints a script for a shell, which then completes without starting Python.

bash: discogan completion bash > ~/.local/share/bash-completion/completions/discogan
zsh: into the file _discogan of a folder in $fpath. tcsh: source it in ~/.tcshrc.
fish: discogan completion fish > ~/.config/fish/completions/discogan.fish
"""

import argparse
from itertools import chain

from discogan_jax.commands import frame

_FILES = ("RUN", "INPUT", "FILE")  # a run may be an exported file
_FOLDERS = ("DIR", "PATH")

# The domains of the runs that the line names, from their `config.json`.
_DOMAINS = {
    "bash": "_discogan_domains",
    "zsh": "_discogan_domains",
    "fish": "(_discogan_domains)",
    "preamble": {
        "bash": r"""
_discogan_domains() {
  local word found='"domains":[[:space:]]*\[[[:space:]]*"([^"]*)",[[:space:]]*"([^"]*)"'
  for word in "${COMP_WORDS[@]}"; do
    [[ -f "$word/config.json" && "$(<"$word/config.json")" =~ $found ]] || continue
    compgen -W "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}" -- "$1"
  done
}""",
        "zsh": r"""
_discogan_domains() {
  local word found='"domains":[[:space:]]*\[[[:space:]]*"([^"]*)",[[:space:]]*"([^"]*)"'
  for word in $words; do
    [[ -f "$word/config.json" && "$(<"$word/config.json")" =~ $found ]] && compadd -- $match
  done
}""",
        "fish": r"""
function _discogan_domains
  for word in (commandline -opc)
    test -f "$word/config.json"; or continue
    read -z text < "$word/config.json"
    string match -r '"domains":\s*\[\s*"([^"]*)",\s*"([^"]*)"' -- $text | tail -n 2
  end
end""",
    },
}


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh", "fish"))


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
        elif action.metavar == "DOMAIN":
            action.complete = _DOMAINS  # type: ignore[attr-defined]
    print(shtab.complete(whole, arguments.shell))
    return 0
