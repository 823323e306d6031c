"""The directive `command-line`: every subcommand of `discogan`, from its own parser."""

import argparse
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from discogan_jax import cli

WIDTH = 72


def setup(app: Any) -> dict[str, bool]:
    """Registers the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class CommandLine(SphinxDirective):
    """A section a subcommand: what it does, its usage, its arguments."""

    def run(self) -> list[nodes.Node]:
        """Makes the sections, in the order of ``--help``."""
        (commands,) = (
            a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)
        )
        return [self._section(name, parser) for name, parser in commands.choices.items()]

    def _section(self, name: str, parser: argparse.ArgumentParser) -> nodes.section:
        parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=WIDTH)
        section = nodes.section(ids=[nodes.make_id(name)], names=[name])
        section += nodes.title(text=name)
        section += nodes.paragraph(text=parser.description)
        section += nodes.literal_block(text=parser.format_usage().strip(), language="text")
        arguments = nodes.definition_list()
        for action in parser._actions:
            if action.help and not isinstance(action, argparse._HelpAction):
                text = action.help % {**vars(action), "prog": parser.prog}
                arguments += nodes.definition_list_item(
                    "",
                    nodes.term("", "", nodes.literal(text=_named(action))),
                    nodes.definition("", nodes.paragraph(text=text)),
                )
        section += arguments
        return section


def _named(action: argparse.Action) -> str:
    """Such as `--step STEP`, `RUN`, `--pairs left|right`."""
    choices = "|".join(map(str, action.choices or ()))
    value = str(action.metavar or choices or action.dest.upper())
    if action.nargs in ("+", "*"):
        value += " ..."
    names = ", ".join(action.option_strings)
    if not names:
        return value
    return names if action.nargs == 0 else f"{names} {value}"
