"""Draws the sample archives.

python -m discogan_jax.data.catalogue DIR --train 2000 --val 100 --seed 0
"""

import argparse
import sys
from pathlib import Path

from discogan_jax.data.catalogue.archive import record_path, write_archives
from discogan_jax.errors import EXIT_INPUT, InputError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m discogan_jax.data.catalogue",
        description="Draws the sample archives: handbags and shoes in pix2pix's layout.",
    )
    parser.add_argument("directory", type=Path, help="folder for the archives")
    parser.add_argument("--train", type=int, default=2000, help="training drawings of each kind")
    parser.add_argument("--val", type=int, default=100, help="validation drawings of each kind")
    parser.add_argument("--seed", type=int, default=0, help="seed of the drawings")
    given = parser.parse_args(arguments)
    try:
        paths = write_archives(given.directory, train=given.train, val=given.val, seed=given.seed)
    except InputError as error:
        print(error, file=sys.stderr)
        return EXIT_INPUT
    for path in paths.values():
        print(
            f"{path}: {given.train} train + {given.val} val, seed {given.seed}, "
            f"{path.stat().st_size / 1e6:.1f} MB; attributes in {record_path(path).name}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
