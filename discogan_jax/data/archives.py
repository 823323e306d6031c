"""The pix2pix archives: pairs of images side by side, read straight from the tar.gz.

Source of the archives: Isola et al. 2017, http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from absl import logging
from PIL import Image
from tensorflow_datasets.core import shuffle
from tensorflow_datasets.core.utils import tqdm_utils
from tqdm import tqdm

from discogan_jax.data.download import fetch, locked, require_room
from discogan_jax.errors import InputError

BASE = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets"
REQUIRED = ("train", "val")
MAX_MEMBER_BYTES = 8 << 20  # the largest published image has well under 1 MiB
MAX_MEMBERS = 1_000_000  # the largest published archive has 138,767
MAX_TOTAL_BYTES = 64 << 30  # unpacked; the largest published archive has 8 GiB
MAX_BAD_FRACTION = 0.01
MAX_BAD_COUNT = 5  # so many bad images are borne in a small archive
BLOCK = 1 << 18
SORT_BYTES = 256 << 20  # records that TFDS sorts in memory; it sorts more than that in files
STEP_BYTES = 3 * MAX_MEMBER_BYTES  # passing one member, reading the next, and their headers


_DAMAGE = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, RecursionError)


@dataclass(frozen=True)
class Archive:
    """One published archive: `left` and `right` name the halves of its images."""

    name: str
    left: str
    right: str
    splits: tuple[str, ...] = REQUIRED
    width: int = 512
    height: int = 256
    bytes: int | None = None

    @property
    def file(self) -> str:
        """The published file name."""
        return f"{self.name}.tar.gz"

    @property
    def url(self) -> str:
        """Where it is published."""
        return f"{BASE}/{self.file}"


ARCHIVES = {
    archive.name: archive
    for archive in (
        Archive("edges2shoes", "edges", "photo"),
        Archive("edges2handbags", "edges", "photo"),
        Archive("facades", "photo", "labels", (*REQUIRED, "test"), bytes=30_168_306),
        Archive("maps", "photo", "map", width=1200, height=600),
        Archive("night2day", "night", "day", (*REQUIRED, "test")),
        Archive("cityscapes", "photo", "labels"),
    )
}


@dataclass(frozen=True)
class Member:
    """One image file of an archive, its bytes as they stand there."""

    split: str
    name: str
    jpeg: bytes


class _Bounded:
    """The unpacked bytes, of which no more than the limits are ever handed out.

    `allowance` bounds one step of tarfile, which would read a header of any size into memory.
    """

    def __init__(self, stream: gzip.GzipFile, path: Path):
        self.stream, self.path = stream, path
        self.allowance, self.total = 0, 0

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        self.allowance -= len(block)
        self.total += len(block)
        if self.allowance < 0 or self.total > MAX_TOTAL_BYTES:
            raise InputError(f"{self.path} unpacks to more than an archive of images can hold.")
        return block


def members(
    path: Path, archive: Archive, on_bytes: Callable[[int], object] | None = None
) -> Iterator[Member]:
    """Streams the images out of a tar.gz; nothing is unpacked to the disk or kept.

    Args:
        path: the tar.gz.
        archive: what it is; fixes the folder and the splits that its images stand in.
        on_bytes: told how many bytes of the file have been read, after every image.

    Yields:
        The files `NAME/SPLIT/*.jpg` in the archive's order, not decoded. Other plain files
        (notes, what operating systems leave behind) are passed over.

    Raises:
        InputError: the file is damaged or another archive, or its members are not what an
            archive of images has any use for (links, devices, paths that leave its folder).
    """
    again = f"Delete it and download it again from {archive.url}."
    try:
        # Not tarfile's own "r|gz": that neither checks the CRC nor notices every truncation.
        with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) as stream:
            bounded = _Bounded(stream, path)
            bounded.allowance = STEP_BYTES
            # A pipe needs no more of its file object than read().
            with tarfile.open(fileobj=bounded, mode="r|", bufsize=BLOCK) as tar:  # type: ignore[call-overload]
                for count in range(MAX_MEMBERS + 1):
                    bounded.allowance = STEP_BYTES
                    info = tar.next()
                    if info is None:
                        break
                    tar.members.clear()  # type: ignore[attr-defined]  # else they pile up
                    split = _judge(info, archive, path)
                    if split:
                        file = tar.extractfile(info)
                        yield Member(split, PurePosixPath(info.name).name, file.read())  # type: ignore[union-attr]
                        if on_bytes:
                            on_bytes(raw.tell())
                    if count == MAX_MEMBERS:
                        raise InputError(f"{path} has more than {MAX_MEMBERS} members.")
            # To the very end, where the CRC stands; tarfile stops early, and at any garbage.
            bounded.allowance = MAX_TOTAL_BYTES
            while block := bounded.read(BLOCK):
                if block.strip(b"\0"):
                    raise InputError(f"{path} is damaged (data after its end). {again}")
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(_missing(archive, path)) from error
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged or no tar.gz file ({error}). {again}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}.") from error


def _judge(info: tarfile.TarInfo, archive: Archive, path: Path) -> str | None:
    """The split of an image, or None for what is passed over; refuses what is dangerous."""
    parts = PurePosixPath(info.name).parts
    said = f"{path} holds {info.name[:200]!r}, "
    if info.name.startswith("/") or ".." in parts:
        raise InputError(f"{said}which leads out of its folder: not an archive to trust.")
    if info.isdir() or not parts:
        return None
    if not info.isreg():
        raise InputError(f"{said}which is a link or a device: not an archive to trust.")
    if info.size > MAX_MEMBER_BYTES:
        raise InputError(f"{said}of {info.size} bytes; at most {MAX_MEMBER_BYTES} are read.")
    if parts[-1].startswith(".") or not parts[-1].lower().endswith((".jpg", ".jpeg")):
        return None
    if parts[0] != archive.name:
        raise InputError(f"{said}but the images of {archive.file} stand under {archive.name}/.")
    return parts[1] if len(parts) == 3 and parts[1] in archive.splits else None


def images(
    path: Path, archive: Archive, split: str, on_bytes: Callable[[int], object] | None = None
) -> Iterator[Member]:
    """The usable images of one split; the others are counted, and named in the log.

    Args:
        path: the tar.gz.
        archive: what it is.
        split: which part of it.
        on_bytes: as for `members`.

    Yields:
        Members whose bytes are a whole JPEG of the archive's size; every name once.

    Raises:
        InputError: as `members`, and if too many images are unusable or none is usable.
    """
    names: set[str] = set()
    bad: list[str] = []
    total = 0
    for member in members(path, archive, on_bytes):
        if member.split != split:
            continue
        total += 1
        fault = "its name stands there twice" if member.name in names else _fault(member, archive)
        if fault:
            bad.append(f"{member.name}: {fault}")
        else:
            names.add(member.name)
            yield member
    some = "; ".join(bad[:3])
    if not names:
        found = f"none of {total} is usable: {some}" if bad else f"no {archive.name}/{split}/*.jpg"
        raise InputError(f"{path} has no images for '{split}' ({found}).")
    if len(bad) > max(MAX_BAD_COUNT, MAX_BAD_FRACTION * total):
        raise InputError(
            f"{path} has {len(bad)} unusable images of {total} in '{split}' ({some}). "
            f"Delete it and download it again from {archive.url}."
        )
    if bad:
        logging.warning("%s, %s: %d of %d images left out (%s)", path, split, len(bad), total, some)


def _fault(member: Member, archive: Archive) -> str:
    """What is wrong with an image, or ''.

    All of its data are decoded (about 4,000 images/s a core), but decoders bear damage in the
    middle of them; the archive's CRC is what guards against that.
    """
    # Pillow bears a missing end marker; TensorFlow, which decodes these bytes later, does not.
    if not member.jpeg.startswith(b"\xff\xd8\xff") or b"\xff\xd9" not in member.jpeg[-1024:]:
        return "no whole JPEG"
    try:
        with Image.open(io.BytesIO(member.jpeg), formats=("JPEG",)) as image:
            if image.size != (archive.width, archive.height):
                return f"{image.width}x{image.height}, not {archive.width}x{archive.height}"
            if image.mode not in ("RGB", "L"):
                return f"colour mode {image.mode}"
            image.draft(None, (1, 1))  # an eighth of the size still decodes every coefficient
            image.load()
    except Exception as error:  # Pillow raises nearly every class on damaged data
        return str(error)
    return ""


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
    # TFDS's own search for this file needs a package that TFDS does not ask pip for.
    code_path: ClassVar[tfds.core.Path] = tfds.core.Path(__file__)
    archive_path: Path | None = None  # set: this file, whatever its name and folder

    def _info(self) -> tfds.core.DatasetInfo:
        archive = ARCHIVES[self.builder_config.name]
        image = tfds.features.Image(
            shape=(archive.height, archive.width, 3), encoding_format="jpeg"
        )
        info = self.dataset_info_from_configs(
            description="Pairs of images side by side, for image-to-image translation.",
            features=tfds.features.FeaturesDict({"image": image, "name": tfds.features.Text()}),
            homepage="https://phillipi.github.io/pix2pix/",
            citation="Isola et al.: Image-to-image translation with conditional adversarial"
            " networks. CVPR 2017.",
        )
        # All it does is ask Google's storage whether it knows this data set.
        info.initialize_from_bucket = lambda: None  # type: ignore[method-assign]
        return info

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        archive = ARCHIVES[self.builder_config.name]
        path = self.archive_path or Path(dl_manager.manual_dir) / archive.file
        found = set(REQUIRED)
        for member in members(path, archive) if set(archive.splits) > found else ():
            found.add(member.split)
            if found.issuperset(archive.splits):
                break
        return {s: self._generate_examples(path, s) for s in archive.splits if s in found}

    def _generate_examples(self, path: Path, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        archive = ARCHIVES[self.builder_config.name]
        with tqdm(
            desc=f"{archive.name} {split}",
            total=path.stat().st_size,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            leave=False,
            disable=None,  # no bar where the output is no terminal
        ) as bar:
            for member in images(path, archive, split, lambda read: bar.update(read - bar.n)):
                yield member.name, {"image": member.jpeg, "name": member.name}

    # TFDS prints these two lines to stdout, which belongs to the commands.
    def _log_download_bytes(self) -> None:
        logging.info("preparing %s in %s", self.info.full_name, self.data_dir)

    def _log_download_done(self) -> None:
        logging.info("prepared %s in %s", self.info.full_name, self.data_dir)


def find(name: str) -> Archive:
    """The archive of that name.

    Raises:
        InputError: there is none; names those there are.
    """
    if name not in ARCHIVES:
        raise InputError(f"There is no archive {name!r}; there are {', '.join(sorted(ARCHIVES))}.")
    return ARCHIVES[name]


def _advice(archive: Archive, path: Path) -> str:
    return (
        f"Fetch {archive.url} by hand and put it at {path}. "
        "`make demo` needs neither an archive nor the network."
    )


def _missing(archive: Archive, path: Path) -> str:
    """The message for an archive that is not at `path`."""
    found = "there is no such folder"
    if path.parent.is_dir():
        names = sorted(entry.name for entry in path.parent.iterdir())
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        found = f"the folder holds {', '.join(names[:8]) or 'nothing'}{more}"
    return f"{archive.file} is not at {path} ({found}). {_advice(archive, path)}"


def locate(name: str, archives: Path | None, data_dir: Path) -> Path:
    """Finds the tar.gz, and downloads it only where no place for it is given.

    Args:
        name: a key of `ARCHIVES`.
        archives: the folder that holds NAME.tar.gz, or the file itself; no network is used then.
        data_dir: without `archives`, the file is, or comes, under `data_dir/downloads`.

    Returns:
        The file's path.

    Raises:
        InputError: it is not there or cannot be downloaded; says where to get and to put it.
    """
    archive = find(name)
    if archives is not None:
        given = Path(archives).expanduser()
        path = given if given.is_file() else given / archive.file
        if not path.is_file():
            raise InputError(_missing(archive, path))
        return path
    path = Path(data_dir).expanduser() / "downloads" / archive.file
    if path.is_file():
        return path
    return fetch(
        archive.url,
        path,
        expected_bytes=archive.bytes,
        magic=b"\x1f\x8b",
        by_hand=_advice(archive, path),
    )


def fingerprint(path: Path) -> str:
    """A cheap key of a gzip file's content: its size, its first and its last mebibyte.

    The last bytes of a gzip file are the CRC and the length of all that it holds.

    Args:
        path: the file.

    Returns:
        16 hexadecimal digits.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(max(0, size - (1 << 20)))
        digest.update(file.read())
    return digest.hexdigest()[:16]


def prepare(name: str, *, archives: Path | None, data_dir: Path) -> tfds.core.DatasetBuilder:
    """The prepared data set of an archive; prepares it the first time.

    It stands under `data_dir/archives/KEY`: the key of a given file is its fingerprint; that of
    the published archive is 'published', which stays usable after the tar.gz is deleted. TFDS
    writes beside that place and renames at the end, so what is there is whole. Records are
    sorted by a hash of their names: read them with `shuffle_files=False` for a fixed order.

    Args:
        name: a key of `ARCHIVES`.
        archives: as for `locate`.
        data_dir: where prepared data are kept.

    Returns:
        A builder that `as_dataset` can be called on.

    Raises:
        InputError: as `locate`, `members` and `images`, or too little room on the disk.
    """
    path = None if archives is None else locate(name, archives, data_dir)
    key = "published" if path is None else fingerprint(path)
    home = Path(data_dir).expanduser() / "archives" / key
    builder = Pix2pix(data_dir=home, config=find(name).name)
    if _is_prepared(builder):
        return builder
    path = path or locate(name, None, data_dir)
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / name):
        if _is_prepared(builder):  # by the process that held the lock
            return Pix2pix(data_dir=home, config=name)
        place = Path(builder.data_dir)
        for leftover in (place, *place.parent.glob("*incomplete*")):  # of runs that died
            shutil.rmtree(leftover, ignore_errors=True)
        # TFDS sorts in files beside the records, deleted as they are used up.
        require_room(home, int(1.2 * path.stat().st_size) + (64 << 20), f"preparing {name}")
        builder.archive_path = path
        config = tfds.download.DownloadConfig(
            try_download_gcs=False, compute_stats=tfds.download.ComputeStatsMode.SKIP
        )
        with tempfile.TemporaryDirectory() as unused, _tamed():
            builder.download_and_prepare(download_dir=unused, download_config=config)
    return builder


def _is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    # The file first: TFDS warns of its absence.
    return Path(builder.data_dir, "dataset_info.json").is_file() and builder.is_prepared()


@contextlib.contextmanager
def _tamed() -> Iterator[None]:
    """TFDS without its own bars (the builder shows one) and with a smaller sorting buffer."""
    bars, buffer = getattr(tqdm_utils, "_active", True), shuffle.MAX_MEM_BUFFER_SIZE
    tfds.disable_progress_bar()
    shuffle.MAX_MEM_BUFFER_SIZE = SORT_BYTES
    try:
        yield
    finally:
        shuffle.MAX_MEM_BUFFER_SIZE = buffer
        if bars:
            tfds.enable_progress_bar()
