"""`discogan serve`: a run as a web page."""

import argparse
from importlib.util import find_spec
from typing import Any

from discogan_jax.cli.quiet import be_quiet
from discogan_jax.errors import InputError


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    command = commands.add_parser(
        "serve",
        help="translate pictures on a web page",
        description="Serves a web page where pictures are dropped and translated, until Ctrl-C. "
        "Needs the extra 'serve'. Only this machine sees the page unless --host is given; it asks "
        "for a password then: the value of DISCOGAN_PASSWORD, or what is typed in at the start.",
    )
    command.add_argument(
        "run", metavar="RUN", help="run directory, one of its checkpoints, or an exported file"
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen; 0.0.0.0 is all networks of the machine",
    )
    command.add_argument(
        "--port", type=int, help="7860, or the next free one, if not given", metavar="N"
    )
    command.set_defaults(function=_run)


def _run(arguments: argparse.Namespace) -> int:
    be_quiet()
    if not (find_spec("starlette") and find_spec("uvicorn")):
        raise InputError(
            "The page needs Starlette and uvicorn; do: pip install 'discogan_jax[serve]'"
        )
    from discogan_jax import serve

    serve.serve(arguments.run, host=arguments.host, port=arguments.port)
    return 0
