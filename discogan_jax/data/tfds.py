"""The source `tfds:NAME[/CONFIG][:VERSION]:TRAIN[:VAL]`: a data set of TensorFlow Datasets."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from discogan_jax import host
from discogan_jax.data import decode
from discogan_jax.data.census import Census
from discogan_jax.data.source import WITHOUT_TENSORFLOW, CachedSource, Places, Wanted
from discogan_jax.errors import InputError, nearest
from discogan_jax.files import locked, require_regular_below


@dataclass(frozen=True)
class Tfds(CachedSource):
    """Splits of a data set of TensorFlow Datasets.

    Attributes:
      name: name of the data set, with its configuration and version if given.
      train: name or slice of the split to train on.
      val: name or slice of the held-out split; None for the end of `train`.
    """

    kind = "tfds"
    private = False
    grammar = "tfds:NAME[/CONFIG][:VERSION]:TRAIN_SPLIT[:VAL_SPLIT]"
    name: str
    train: str
    val: str | None

    @classmethod
    def parse(cls, text: str) -> "Tfds | None":
        """Creates it from NAME[/CONFIG][:VERSION]:TRAIN[:VAL]."""
        # Split names have colons too (train[:90%]), and so has a name with a version.
        split = r"((?:\[[^\]]*\]|[^:])+)"
        found = re.fullmatch(rf"([^:]+(?::[\d*]+\.[\d*]+\.[\d*]+)?+):{split}(?::{split})?", text)
        return cls(text, *found.groups()) if found else None

    @property
    def dataset(self) -> str:
        """Name of the data set, with its configuration but without its version."""
        return self.name.partition(":")[0]

    @property
    def licence(self) -> str:
        """Refers to the catalogue of TensorFlow Datasets."""
        return "a data set of TensorFlow Datasets, whose catalogue has its terms"

    def facts(self, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Returns what was asked for: only TensorFlow Datasets itself knows more."""
        return {"tfds": self.name, "train": self.train, "val": self.val}

    def write(self, folder: Path, wanted: Wanted, places: Places) -> dict[str, Any]:
        """Downloads and prepares the data set if need be, and decodes the first of its images."""
        what = f"{self.label} is not decoded yet; decoding it"
        host.require_tensorflow(what, WITHOUT_TENSORFLOW, datasets=True)
        import tensorflow_datasets as tfds

        builder = self._prepared(tfds, places.data_dir / "tfds")
        feature = self._feature(tfds, builder)

        # The splits, and where the held-out images begin in them.
        splits = [split for split in (self.train, self.val) if split]
        counts = [self._count(builder, split) for split in splits]
        total = sum(counts)
        # Without a split for that, they are the end of the training split.
        held_out = max(round(decode.HELD_OUT * total), 1)
        if wanted.max_held_out is not None:
            held_out = min(held_out, wanted.max_held_out)
        first_held_out = counts[0] if self.val else total - held_out

        def by_split(rows: list[int]) -> dict[str, list[int]]:
            train = [row for row in rows if row < first_held_out]
            return {"train": train, "val": rows[len(train) :]}

        def items() -> Iterator[decode.Item]:
            for split in splits:
                for number, data in enumerate(self._records(tfds, builder, feature, split)):
                    yield decode.Item(data, f"{split} {number}")

        census = Census(self.preparation(wanted), self.label, wanted.quiet)
        return decode.write_pictures(folder, items, total, census, by_split)

    def _records(self, tfds: Any, builder: Any, feature: str, split: str) -> Iterator[bytes]:
        """Yields one feature of a split, encoded, in order."""
        skip = {feature: tfds.decode.SkipDecoding()}
        records = builder.as_dataset(
            split=split,
            decoders=tfds.decode.PartialDecoding({feature: True}, decoders=skip),
            read_config=tfds.ReadConfig(try_autocache=False),
        )
        yield from records.map(itemgetter(feature)).as_numpy_iterator()

    def _prepared(self, tfds: Any, root: Path) -> Any:
        """Returns the builder of the data set, which was prepared before or is prepared in `root`.

        One that is prepared in TFDS's own folder, or in `TFDS_DATA_DIR`, is used there.
        """
        # Where there is no home folder, TFDS takes the tilde for a name, too.
        own = os.environ.get("TFDS_DATA_DIR") or os.path.expanduser("~/tensorflow_datasets")  # noqa: PTH111
        folders = [str(root), str(own)]
        builders = [found for folder in folders if (found := self._builder(tfds, folder))]
        name = re.split("[/:]", self.name)[0]
        if not builders:
            known = tfds.list_builders(with_community_datasets=False)
            problem = f"None is prepared in {' or '.join(folders)}, and TensorFlow Datasets has no"
            raise InputError(f"{self.label}: {problem} {name!r}: {nearest(name, known)}")
        for builder in builders:
            # The file first: TFDS warns of its absence.
            if (builder.data_path / "dataset_info.json").exists() and builder.is_prepared():
                return builder
        try:
            with locked(root / name):  # the other domain is often of the same data set
                builders[0].download_and_prepare()
        except Exception as error:  # any of network, disk, checksum, a file to fetch by hand
            if host.out_of_memory(error):
                raise
            raise InputError(f"{self.name} could not be prepared in {root}: {error}") from error
        return builders[0]

    def _builder(self, tfds: Any, folder: str) -> Any:
        """Returns the builder of the data set in a folder; None if neither knows its name."""
        require_regular_below(Path(folder, re.split("[/:]", self.name)[0]))
        try:
            return tfds.builder(self.name, data_dir=folder)
        except tfds.core.DatasetNotFoundError:
            return None
        except Exception as error:  # an unknown configuration or version
            if host.out_of_memory(error):
                raise
            raise InputError(f"Source {self.label!r}: {error}") from error

    def _feature(self, tfds: Any, builder: Any) -> str:
        features = builder.info.features
        found = sorted(key for key in features if isinstance(features[key], tfds.features.Image))
        if not found:
            raise InputError(f"{self.name} has no images; its features: {', '.join(features)}.")
        return "image" if "image" in found else str(found[0])

    def _count(self, builder: Any, split: str) -> int:
        try:
            return int(builder.info.splits[split].num_examples)
        except Exception as error:  # an unknown name or a malformed slice, by several types
            choices = ", ".join(sorted(builder.info.splits))
            problem = f"has no split {split!r}; its splits: {choices}"
            raise InputError(f"{self.name} {problem}.") from error
