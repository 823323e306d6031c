"""Draws the sample archives, handbags and shoes: so many to train on and to hold out, of each.

python -m discogan_jax.data.catalogue DIR --train 2000 --val 100 --seed 0
"""

import argparse
import sys
from pathlib import Path

from discogan_jax.data.catalogue.archive import Parameters, record_path, write_archives
from discogan_jax.errors import EXIT_INPUT, InputError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser("python -m discogan_jax.data.catalogue", description=__doc__)
    parser.add_argument("directory", type=Path, help="folder for the archives")
    for name in ("train", "val", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Parameters, name))
    given = parser.parse_args(arguments)
    try:
        paths = write_archives(**vars(given))
    except InputError as error:
        print(error, file=sys.stderr)
        return EXIT_INPUT
    # A line an archive.
    for path in paths.values():
        print(
            f"{path}: {given.train} train + {given.val} val, seed {given.seed}, "
            f"{path.stat().st_size / 1e6:.1f} MB; attributes in {record_path(path).name}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
