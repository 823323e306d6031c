"""The source `tfds:NAME[/CONFIG][:VERSION]:TRAIN[:VAL]`: a data set of TensorFlow Datasets."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discogan_jax.data import decode
from discogan_jax.data.census import Census
from discogan_jax.data.source import CachedSource, Places, Wanted
from discogan_jax.errors import InputError, choose
from discogan_jax.files import locked
from discogan_jax.host import tensorflow


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
        tensorflow()
        import tensorflow_datasets as tfds

        builder = self._prepared(tfds, places.data_dir / "tfds")
        feature = self._feature(tfds, builder)

        # The splits, and where the held-out images begin in them.
        splits = [split for split in (self.train, self.val) if split]
        counts = [self._count(builder, split) for split in splits]
        total = sum(counts)
        # Without a split for that, they are the end of the training split.
        held_out = decode.held_out_count(total, wanted.max_held_out)
        first_held_out = counts[0] if self.val else total - held_out

        def by_split(rows: list[int]) -> dict[str, list[int]]:
            train = [row for row in rows if row < first_held_out]
            return {"train": train, "val": rows[len(train) :]}

        def pictures() -> Iterator[decode.Item]:
            # Encoded, as `write_pictures` takes them, and no other feature.
            skip = {feature: tfds.decode.SkipDecoding()}
            for split in splits:
                records = builder.as_dataset(
                    split=split,
                    decoders=tfds.decode.PartialDecoding({feature: True}, decoders=skip),
                    read_config=tfds.ReadConfig(try_autocache=False),
                )
                for number, record in enumerate(records.as_numpy_iterator()):
                    yield decode.Item(record[feature], f"{split} {number}")

        census = Census(self.preparation(wanted))
        return decode.write_pictures(
            folder, pictures, total, census, split=by_split, label=self.label
        )

    def _prepared(self, tfds: Any, root: Path) -> Any:
        """Returns the builder of the data set, which it has downloaded and prepared."""
        name = re.split("[/:]", self.name)[0]
        try:
            builder = tfds.builder(self.name, data_dir=root)
        except Exception as error:  # an unknown name, configuration or version
            if isinstance(error, tfds.core.DatasetNotFoundError):
                known = tfds.list_builders(with_community_datasets=False)
                choose(name, known, "data set of TensorFlow Datasets")
            raise InputError(f"Source {self.label!r}: {error}") from error
        try:
            with locked(root / name):  # the other domain is often of the same data set
                builder.download_and_prepare()
        except Exception as error:  # any of network, disk, checksum, a file to fetch by hand
            raise InputError(f"{self.name} could not be prepared in {root}: {error}") from error
        return builder

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
