"""The pix2pix archives as a TFDS data set, prepared once.

Images are read from the tar.gz file; nothing is unpacked to the disk. The pairs stay as they are,
for tf.data pipelines. Training decodes the tar.gz file itself (`data.pix2pix.source`), which takes
half the time and no second copy on the disk.
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

from discogan_jax import files
from discogan_jax.data.pix2pix.archives import ARCHIVES, BASE, REQUIRED, find
from discogan_jax.data.pix2pix.locate import locate
from discogan_jax.data.pix2pix.tar import images, members
from discogan_jax.data.progress import progress_bar

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
        )
        # It would ask Google's storage whether it has this data set.
        info.initialize_from_bucket = lambda: None  # type: ignore[method-assign]
        return info

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        archive = ARCHIVES[self.builder_config.name]
        path = self.archive_path or Path(dl_manager.manual_dir) / archive.file
        # The archive may lack its third split; looked for only where there may be one.
        optional = set(archive.splits).difference(REQUIRED)
        has_it = optional and any(member.split in optional for member in members(path, archive))
        splits = archive.splits if has_it else REQUIRED
        return {split: self._generate_examples(path, split) for split in splits}

    def _generate_examples(self, path: Path, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        archive = ARCHIVES[self.builder_config.name]
        with progress_bar(f"{archive.name} {split}", path.stat().st_size, leave=False) as bar:
            for member in images(path, archive, split):
                bar.update(member.end - bar.n)
                yield member.name, {"image": member.jpeg, "name": member.name}

    # TFDS prints what these two log to stdout, which belongs to the commands.
    def _log_download_bytes(self) -> None:
        logging.info("preparing %s in %s", self.info.full_name, self.data_dir)

    def _log_download_done(self) -> None:
        logging.info("prepared %s in %s", self.info.full_name, self.data_dir)


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
      InputError: as for `locate`, `members` and `images`, or there is too little room on the disk.
    """
    data_dir = files.expanded(data_dir)
    path = locate(name, files.expanded(archives), data_dir) if archives else None
    key = "published" if path is None else files.fingerprint(path)
    home = data_dir / "archives" / key
    builder = Pix2pix(data_dir=home, config=find(name).name)
    if _is_prepared(builder):
        return builder
    # Only now: a prepared archive need not be downloaded again.
    path = path or locate(name, None, data_dir)
    with files.locked(home / name):
        # Another process may have prepared it while this one waited.
        builder = Pix2pix(data_dir=home, config=name)
        if not _is_prepared(builder):
            _build(builder, path, home)
    return builder


def _is_prepared(builder: Pix2pix) -> bool:
    # The file first: TFDS warns of its absence.
    return Path(builder.data_dir, "dataset_info.json").is_file() and builder.is_prepared()


def _build(builder: Pix2pix, path: Path, home: Path) -> None:
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


@contextlib.contextmanager
def _patched() -> Iterator[None]:
    """Gives TFDS a smaller buffer for sorting, and hides its progress bars beside the builder's."""
    bars, buffer = tqdm_utils._active, shuffle.MAX_MEM_BUFFER_SIZE
    tqdm_utils._active, shuffle.MAX_MEM_BUFFER_SIZE = False, SORT_BYTES
    try:
        yield
    finally:
        tqdm_utils._active, shuffle.MAX_MEM_BUFFER_SIZE = bars, buffer
