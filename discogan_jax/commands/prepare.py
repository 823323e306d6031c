"""Does what training would do first, for instance where there is a network and no accelerator.

Downloads archives that are not there, draws those of the sample, and decodes all images to arrays
below config.data.data_dir. Training with the same settings starts from these at once. Takes CONFIG,
--a, --b and --config.FIELD=VALUE as 'discogan train' does. Checks every picture of the arrays that
are there, and makes damaged ones anew. Names the arrays of pictures that have changed since, or
removes them.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from discogan_jax import units
from discogan_jax.commands import frame
from discogan_jax.config import flags

if TYPE_CHECKING:
    from discogan_jax.config.schema import Settings


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
    from discogan_jax.config.schema import from_config

    config = flags.read(arguments)
    if flags.leave_open(arguments):
        flags.fit_machine(config, flags.names(arguments), frame.say)
    s = from_config(config)
    for line in chain(prepare(s), tidy(s, remove=arguments.tidy)):
        frame.say(line)
    return 0


def prepare(s: "Settings") -> Iterator[str]:
    """Downloads, draws and decodes the images that training with some settings needs.

    Yields:
      A description of a domain's images, as soon as they are there.

    Raises:
      InputError: as the run itself would.
    """
    from discogan_jax.config import build
    from discogan_jax.data import cache, census, sources

    sources.check_apart(s.data.source_a, s.data.source_b)
    loaded = {}
    for d, source in build.sources_of(s).items():
        began, folder = time.monotonic(), sources.identify(**source)
        there = folder.is_dir()
        if cache.is_altered(folder):  # `load` looks at some of many pictures
            cache.doubt(folder)
            there = False
        images = loaded[d] = sources.load(**source)
        made = "there before" if there else f"made in {time.monotonic() - began:,.1f} s"
        size = units.size(images.train.nbytes + images.val.nbytes)
        yield f"{s.domains.name(d)}: {census.describe(images.about)}. {size}, {made}: {folder}"
    build.larger_images(s, {}, loaded)


def tidy(s: "Settings", *, remove: bool) -> Iterator[str]:
    """Names or removes arrays of the two sources that training does not use any more.

    Args:
      s: the settings; arrays that others need are kept.
      remove: whether to remove them.

    Raises:
      InputError: a source cannot be understood or found.
    """
    from discogan_jax.data import copies, sources

    found = {
        copy.folder: copy
        for source in (s.data.source_a, s.data.source_b)
        for copy in sources.outdated(source, data_dir=s.data_dir, archives=s.archives)
    }
    named = [f"{x.folder.name} ({x.megabytes:,.1f} MB, {x.reason})" for x in found.values()]
    if remove:
        for copy, name in zip(found.values(), named, strict=True):
            gone = copies.remove(copy)
            yield f"removed {name}" if gone else f"kept {name}: a running process uses it"
    elif found:
        total = sum(copy.megabytes for copy in found.values())
        yield f"not used any more, {total:,.1f} MB: {', '.join(named)}. --tidy removes them"
