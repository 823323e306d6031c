"""`discogan prepare`: the data of a run, ahead of it."""

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    command = commands.add_parser(
        "prepare",
        help="download and decode the data of a run ahead of it",
        description="Does what training would do first: downloads archives that are not there, "
        "draws those of the sample, decodes all images to arrays below config.data.data_dir. "
        "Training with the same settings starts from these at once. Takes --config and "
        "--config.FIELD=VALUE as the training commands do; two folders of images are "
        "--config=configs/folders.py --config.data.source_a=folder:DIR "
        "--config.data.source_b=folder:DIR.",
        usage="%(prog)s [-h] --config FILE [--config.FIELD=VALUE ...]",
    )
    command.add_argument("--config", metavar="FILE", required=True, help="as for training")
    command.set_defaults(function=_run, fields=[])


def _run(arguments: argparse.Namespace) -> int:
    from discogan_jax.commands import prepare
    from discogan_jax.config import flags
    from discogan_jax.train import log

    log.show_news()
    config = flags.read(arguments.config, arguments.fields)
    for prepared in prepare.prepare(config):
        print(prepared, flush=True)
    return 0
