"""Prepares the data of a run ahead of it, where there is a network and no accelerator."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discogan_jax.config import build
from discogan_jax.config.schema import from_config
from discogan_jax.data import sources


@dataclass(frozen=True)
class Prepared:
    """The images of a domain, as training will find them.

    Attributes:
      domain: its name.
      source: where they come from.
      folder: where they are.
      images: they themselves, mapped into memory.
      seconds: what making them took; None if they were there before.
    """

    domain: str
    source: str
    folder: Path
    images: sources.Splits
    seconds: float | None

    def __str__(self) -> str:
        train, val = self.images.train, self.images.val
        size = (train.nbytes + val.nbytes) / 2**20
        made = "there before" if self.seconds is None else f"made in {self.seconds:,.1f} s"
        return (
            f"{self.domain}: {len(train):,} to train on, {len(val):,} held out, "
            f"{train.shape[1]} px, {size:,.0f} MiB, {made}: {self.folder}"
        )


def prepare(
    config: Mapping[str, Any], clock: Callable[[], float] = time.monotonic
) -> Iterator[Prepared]:
    """Downloads, draws and decodes what `train.train_and_evaluate` would for a config.

    Args:
      config: see `settings.Settings`.
      clock: seconds.

    Yields:
      A domain's images, as soon as they are there.

    Raises:
      InputError: as the run itself would.
    """
    s = from_config(config)
    loaded = {}
    for d, source in build.sources_of(s).items():
        began = clock()
        folder = sources.identify(**source)
        there = folder.is_dir()
        loaded[d] = sources.load(**source)
        seconds = None if there else clock() - began
        yield Prepared(s.domains["ab".index(d)], source["source"], folder, loaded[d], seconds)
    build.order(s, loaded)
