"""The pix2pix archives as a TFDS data set, read from the tar.gz files; nothing is unpacked.

Importing this module registers it, so that ``tfds.load("pix2pix/edges2shoes")`` works:
docs/training.md has an example. Training reads the same pairs: of the data set where it has been
prepared, else straight from the tar.gz file, which needs no second copy on the disk.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from absl import logging
from tensorflow_datasets.core import shuffle
from tensorflow_datasets.core.utils import tqdm_utils

from discogan_jax import files, host
from discogan_jax.data.cache import SPLITS
from discogan_jax.data.pix2pix.archives import ARCHIVES, BASE, PublishedArchive, find
from discogan_jax.data.pix2pix.half import damage
from discogan_jax.data.pix2pix.locate import locate, origin
from discogan_jax.data.pix2pix.tar import Member, Pairs, Tally, members

_LEFT_OUT = "left_out"  # among TFDS's metadata
SORT_BYTES = 256 << 20  # records that TFDS sorts in memory; it sorts more than that in files


class Pix2pix(tfds.core.GeneratorBasedBuilder):
    """The pix2pix archives as a TFDS data set, one config each.

    Features: `image`, the pair as the archive's own JPEG bytes, and `name`, its file name.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "The published archives."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put NAME.tar.gz from {BASE}/ into the manual_dir."
    BUILDER_CONFIGS: ClassVar[list[tfds.core.BuilderConfig]] = [
        tfds.core.BuilderConfig(name=name, description=f"Pairs of {a.left} (left) and {a.right}.")
        for name, a in ARCHIVES.items()
    ]
    archive_path: Path | None = None  # the file, if it is not NAME.tar.gz in the manual_dir

    def _info(self) -> tfds.core.DatasetInfo:
        archive = ARCHIVES[self.builder_config.name]
        shape = archive.height, archive.width, 3
        image = tfds.features.Image(shape=shape, encoding_format="jpeg")
        info = self.dataset_info_from_configs(
            description="Pairs of images side by side, for image-to-image translation.",
            features=tfds.features.FeaturesDict({"image": image, "name": tfds.features.Text()}),
            homepage="https://phillipi.github.io/pix2pix/",
            citation="Isola et al.: Image-to-image translation with conditional adversarial"
            " networks. CVPR 2017.",
            metadata=tfds.core.MetadataDict({_LEFT_OUT: {}}),
        )
        # It would ask Google's storage whether it has this data set.
        info.initialize_from_bucket = lambda: None  # type: ignore[method-assign]
        return info

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        archive = ARCHIVES[self.builder_config.name]
        path = self.archive_path or Path(dl_manager.manual_dir) / archive.file
        # The archive may lack its third split; looked for only where there may be one.
        has_test = archive.test and any(m.split == "test" for m in members(path, archive))
        splits = archive.splits if has_test else SPLITS
        return {split: self._generate_examples(path, split) for split in splits}

    def _generate_examples(self, path: Path, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        tally = Tally(path, ARCHIVES[self.builder_config.name], split)
        for member in usable_members(tally):
            yield member.name, {"image": member.jpeg, "name": member.name}
        self.info.metadata[_LEFT_OUT][split] = tally.bad

    # TFDS prints what these two log to stdout, which belongs to the commands.
    def _log_download_bytes(self) -> None:
        logging.info("preparing %s in %s", self.info.full_name, self.data_dir)

    def _log_download_done(self) -> None:
        logging.info("prepared %s in %s", self.info.full_name, self.data_dir)


def usable_members(tally: Tally) -> Iterator[Member]:
    """Streams the usable images of one split.

    Args:
      tally: names file and split; decides which images are used, and keeps the names of the others.

    Yields:
      Members whose bytes are a complete JPEG of the archive's size; every name once.

    Raises:
      InputError: as for `members`, or too many images are unusable, or none is usable.
    """
    ours = (m for m in members(tally.path, tally.archive) if m.split == tally.split)
    for member in ours:
        if tally.take(member.name, damage(member.jpeg, tally.archive)):
            yield member
    tally.close()


def pairs(archive: PublishedArchive, *, archives: Path | None, data_dir: Path) -> Pairs:
    """Opens the pairs of an archive: the prepared data set, or else the tar.gz file.

    Args:
      archive: the archive.
      archives: as for `locate`.
      data_dir: as for `prepare`.

    Raises:
      InputError: as for `locate`; the examples raise what `members` raises.
    """
    home = data_dir / "archives" / origin(archive.name, archives, data_dir)
    if builder := _prepared(archive.name, home):
        return _prepared_pairs(builder, archive)
    path = locate(archive.name, archives, data_dir)
    found = (m for m in members(path, archive) if m.split in SPLITS)
    examples = ((f"{m.split}/{m.name}", m.jpeg) for m in found)
    return Pairs(examples, {split: Tally(path, archive, split) for split in SPLITS}, None)


def _prepared_pairs(builder: Pix2pix, archive: PublishedArchive) -> Pairs:
    tf = host.tensorflow()

    def examples(split: str) -> Any:
        data = builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(try_autocache=False),
        )
        return data.map(lambda x: (tf.strings.join([split, "/", x["name"]]), x["image"]))

    train, val = map(examples, SPLITS)
    number = sum(builder.info.splits[split].num_examples for split in SPLITS)
    left_out = (builder.info.metadata or {}).get(_LEFT_OUT, {})  # earlier versions kept none
    tallies = {split: Tally(Path(builder.data_dir), archive, split) for split in SPLITS}
    for split, tally in tallies.items():
        tally.bad += [(name, problem) for name, problem in left_out.get(split, ())]
    return Pairs(train.concatenate(val), tallies, number)


def prepare(name: str, *, archives: Path | None, data_dir: Path) -> tfds.core.DatasetBuilder:
    """Prepares the data set of an archive, if that was never done, and returns it.

    It is kept under `data_dir/archives/KEY`: the key of a given file is its fingerprint; that of
    the published archive is 'published', which stays usable after the tar.gz file is deleted. TFDS
    writes into a folder beside it and renames that at the end, so that it is complete or absent.
    Records are sorted by a hash of their names: read them with `shuffle_files=False` for a fixed
    order.

    Args:
      name: a key of `ARCHIVES`.
      archives: as for `locate`.
      data_dir: folder of the prepared data.

    Returns:
      A builder that `as_dataset` can be called on.

    Raises:
      InputError: as for `locate` and `usable_members`, or there is too little room on the disk.
    """
    data_dir = files.expanded(data_dir)
    archives = files.expanded(archives) if archives else None
    home = data_dir / "archives" / origin(find(name).name, archives, data_dir)
    if builder := _prepared(name, home):
        return builder
    # Only now: a prepared archive need not be downloaded again.
    path = locate(name, archives, data_dir)
    with files.locked(home / name):
        # Another process may have prepared it while this one waited.
        return _prepared(name, home) or _build(name, path, home)


def _prepared(name: str, home: Path) -> Pix2pix | None:
    """Opens the prepared data set of an archive; returns None if there is none."""
    # The file first: making a builder takes a moment, and TFDS warns of its absence.
    if not (home / Pix2pix.name / name / str(Pix2pix.VERSION) / "dataset_info.json").is_file():
        return None
    files.require_regular_below(home / Pix2pix.name / name)
    builder = Pix2pix(data_dir=home, config=name)
    return builder if builder.is_prepared() else None


def _build(name: str, path: Path, home: Path) -> Pix2pix:
    builder = Pix2pix(data_dir=home, config=name)
    folder = Path(builder.data_dir)
    for leftover in (folder, *folder.parent.glob("*incomplete*")):  # of killed processes
        shutil.rmtree(leftover, ignore_errors=True)
    # TFDS sorts in files beside the records, deleted as they are used up.
    needed = int(1.2 * path.stat().st_size) + (64 << 20)
    files.require_room(home, needed, f"preparing {folder.parent.name}")
    builder.archive_path = path
    config = tfds.download.DownloadConfig(
        try_download_gcs=False, compute_stats=tfds.download.ComputeStatsMode.SKIP
    )
    with tempfile.TemporaryDirectory() as unused, _patched():
        builder.download_and_prepare(download_dir=unused, download_config=config)
    return builder


@contextlib.contextmanager
def _patched() -> Iterator[None]:
    """Gives TFDS a smaller buffer for sorting, and hides its progress bars beside the builder's."""
    bars, buffer = tqdm_utils._active, shuffle.MAX_MEM_BUFFER_SIZE
    tqdm_utils._active, shuffle.MAX_MEM_BUFFER_SIZE = False, SORT_BYTES
    try:
        yield
    finally:
        tqdm_utils._active, shuffle.MAX_MEM_BUFFER_SIZE = bars, buffer
