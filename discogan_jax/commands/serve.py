"""Serves a web page where pictures are dropped and translated, until Ctrl-C.

Needs the extra 'serve'. Only this machine sees the page unless --host is given; the page asks for a
password then: the value of DISCOGAN_PASSWORD, or what is typed in at the start.
"""

import argparse
from importlib.util import find_spec

from discogan_jax.commands import frame, outputs
from discogan_jax.errors import InputError


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "run", metavar="RUN", type=frame.path, help="run directory, a checkpoint, or an export"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen; 0.0.0.0 is all networks of the machine",
    )
    parser.add_argument(
        "--port", type=int, help="7860, or the next free one, if not given", metavar="N"
    )
    parser.add_argument(
        "--catalogue",
        type=frame.path,
        metavar="FOLDER",
        help="folder of pictures, at any depth: the page shows those that go with a translation",
    )
    parser.add_argument(
        "--to",
        metavar="DOMAIN",
        help="domain of the catalogue's pictures; the run's second one if not given",
    )
    outputs.add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    if not (find_spec("starlette") and find_spec("uvicorn")):
        raise InputError(
            "The page needs Starlette and uvicorn; do: pip install 'discogan_jax[serve]'"
        )
    if not arguments.catalogue and (arguments.to or arguments.data_dir):
        raise InputError("--to and --data_dir are those of a catalogue: name it with --catalogue")
    from discogan_jax.serve.server import serve

    names = ("catalogue", "to", "data_dir")
    catalogue = {name: x for name in names if (x := getattr(arguments, name))}
    serve(str(arguments.run), arguments.host, arguments.port, frame.say, **catalogue)
    return 0
