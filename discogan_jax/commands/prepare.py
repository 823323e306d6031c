"""Does what training would do first, for instance where there is a network and no accelerator.

Downloads archives that are not there, draws those of the sample, and decodes all images to arrays
below config.data.data_dir. Training with the same settings starts from these at once. Takes CONFIG,
--a, --b and --config.FIELD=VALUE as 'discogan train' does.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from discogan_jax.commands import frame
from discogan_jax.config import flags

if TYPE_CHECKING:
    from discogan_jax.data import sources


class Prepared(NamedTuple):
    """The prepared images of a domain.

    Attributes:
      domain: name of the domain.
      source: source of the images.
      folder: folder of the arrays.
      images: arrays, mapped into memory.
      seconds: time that preparing them took; None if they were there before.
    """

    domain: str
    source: str
    folder: Path
    images: "sources.Splits"
    seconds: float | None

    def __str__(self) -> str:
        from discogan_jax.data import census

        size = (self.images.train.nbytes + self.images.val.nbytes) / 2**20
        made = "there before" if self.seconds is None else f"made in {self.seconds:,.1f} s"
        about = census.describe(self.images.about)
        return f"{self.domain}: {about}. {size:,.0f} MiB, {made}: {self.folder}"


def add_arguments(parser: frame.Parser) -> None:
    """Adds the arguments of the command."""
    flags.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    for prepared in prepare(flags.read(arguments)):
        frame.say(str(prepared))
    return 0


def prepare(
    config: Mapping[str, Any], clock: Callable[[], float] = time.monotonic
) -> Iterator[Prepared]:
    """Downloads, draws and decodes the images that training with a config needs.

    Args:
      config: see `config.schema.Settings`.
      clock: returns seconds.

    Yields:
      A domain's images, as soon as they are there.

    Raises:
      InputError: as the run itself would.
    """
    from discogan_jax.config import build
    from discogan_jax.config.schema import from_config
    from discogan_jax.data import sources

    s = from_config(config)
    loaded = {}
    for d, source in build.sources_of(s).items():
        began = clock()
        folder = sources.identify(**source)
        there = folder.is_dir()
        loaded[d] = sources.load(**source)
        seconds = None if there else clock() - began
        yield Prepared(s.domains.name(d), source["source"], folder, loaded[d], seconds)
    build.order(s, loaded)
