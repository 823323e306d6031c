"""Does what training would do first, for instance where there is a network and no accelerator.

Downloads archives that are not there, draws those of the sample, and decodes all images to arrays
below config.data.data_dir. Training with the same settings starts from these at once. Takes CONFIG,
--a, --b and --config.FIELD=VALUE as 'discogan train' does. Names the arrays of pictures that have
changed since, or removes them.
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
    parser.add_argument(
        "--tidy",
        action="store_true",
        help="remove arrays of the two sources that are not used any more: pictures have changed",
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    config = flags.read(arguments)
    for prepared in prepare(config):
        frame.say(str(prepared))
    for line in tidy(config, remove=arguments.tidy):
        frame.say(line)
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
    sources.check_apart(s.data.source_a, s.data.source_b)
    loaded = {}
    for d, source in build.sources_of(s).items():
        began = clock()
        folder = sources.identify(**source)
        there = folder.is_dir()
        loaded[d] = sources.load(**source)
        seconds = None if there else clock() - began
        yield Prepared(s.domains.name(d), source["source"], folder, loaded[d], seconds)
    build.order(s, build.larger_images(s, {}, loaded))


def tidy(config: Mapping[str, Any], *, remove: bool) -> Iterator[str]:
    """Finds arrays of the two sources that training does not use any more, whatever its settings.

    Args:
      config: see `config.schema.Settings`.
      remove: whether to remove them.

    Yields:
      What was found, or removed.

    Raises:
      InputError: a source cannot be understood or found.
    """
    from discogan_jax.config.schema import from_config
    from discogan_jax.data import copies, sources

    s = from_config(config)
    found: dict[Path, copies.Copy] = {}
    for source in (s.data.source_a, s.data.source_b):
        old = sources.outdated(source, data_dir=s.data_dir, archives=s.archives)
        found |= {copy.folder: copy for copy in old}
    if not found:
        return
    for copy in found.values() if remove else ():
        copies.remove(copy)
        yield f"removed {copy.folder} ({copy.megabytes:,.1f} MB): {copy.reason}"
    if not remove:
        total = sum(copy.megabytes for copy in found.values())
        names = ", ".join(
            f"{copy.folder.name} ({copy.megabytes:,.1f} MB, {copy.reason})"
            for copy in found.values()
        )
        yield f"not used any more, {total:,.1f} MB: {names}. --tidy removes them"
