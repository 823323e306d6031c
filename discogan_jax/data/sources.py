"""Named sources of pictures: each becomes uint8 arrays, decoded once.

==========================================  ========================================================
source                                      pictures
==========================================  ========================================================
`archive:NAME/SIDE`                         one side of a pix2pix archive
`archive:NAME/SIDE/HALF`                    only the `first` or `second` half of its training files
`folder:PATH`                               every picture below a folder, or below its `train` and
                                            `val` (or `test`)
`tfds:NAME[/CONFIG][:VERSION]:TRAIN[:VAL]`  a data set of TensorFlow Datasets, by splits
`catalogue:bags`, `catalogue:shoes`         drawn here
`arrays:DIR`                                `train.npy` and `val.npy`, a cache folder of another
                                            machine for instance
==========================================  ========================================================

An edge and its photo never meet in training when one domain takes `edges/first` and the other
`photo/second`. TensorFlow is imported only to decode an archive or a TFDS data set.
"""

import os
from pathlib import Path
from typing import Any

from discogan_jax.data import cache, catalogue, kinds
from discogan_jax.data.cache import Images
from discogan_jax.data.catalogue.items import Item
from discogan_jax.data.pix2pix import archives as pix2pix_archives
from discogan_jax.errors import InputError
from discogan_jax.files import expanded

DECODE_VERSION = 3
"""Part of every cache key: raise it when the same source comes to give other bytes, which
includes a change of `images.read` or `images.fit`."""

_GRAMMAR = {
    "archive": "archive:NAME/SIDE, archive:NAME/SIDE/first or archive:NAME/SIDE/second",
    "folder": "folder:PATH",
    "tfds": "tfds:NAME[/CONFIG][:VERSION]:TRAIN_SPLIT[:VAL_SPLIT]",
    "catalogue": "catalogue:bags or catalogue:shoes",
    "arrays": "arrays:DIR",
}


def load(source: str, *, image_size: int, data_dir: Path, archives: Path | None = None) -> Images:
    """Opens the pictures of a source; decodes them first if that was never done.

    Args:
      source: what to open, as in the table above.
      image_size: side of the square pictures.
      data_dir: where downloads, prepared data and arrays are kept.
      archives: folder of `NAME.tar.gz` files, or one such file; None takes the published ones.

    Returns:
      The pictures, mapped into memory from `identify(...)`.

    Raises:
      InputError: if the source cannot be understood, found, read or cached.
    """
    found, facts, folder = _find(source, image_size, Path(data_dir), archives)
    if found is None:
        return cache.open_arrays(folder, image_size)
    about = {"source": source, **facts}
    return cache.cached(folder, image_size, lambda to: found.write(to, image_size), about)


def prepared(
    source: str, *, image_size: int, data_dir: Path, archives: Path | None = None
) -> Images | None:
    """Opens the pictures of a source if that takes no work; nothing is drawn, fetched or decoded.

    Args:
      source: as for `load`.
      image_size: as for `load`.
      data_dir: as for `load`.
      archives: as for `load`.

    Returns:
      The pictures; None if they are not there.
    """
    drawn = source.startswith("catalogue:")
    if drawn and not (expanded(Path(data_dir)) / "catalogue").is_dir():
        return None
    try:
        folder = identify(source, image_size=image_size, data_dir=data_dir, archives=archives)
        return cache.open_arrays(folder, image_size)
    except InputError:
        return None


def identify(source: str, *, image_size: int, data_dir: Path, archives: Path | None = None) -> Path:
    """Names the folder that has, or will have, the arrays of a source.

    Its name holds a key of everything that shaped them: equal folders, equal arrays. For
    `catalogue:` the archives are drawn, nothing else is prepared.

    Args:
      source: as for `load`.
      image_size: as for `load`.
      data_dir: as for `load`.
      archives: as for `load`.

    Returns:
      A folder below `data_dir/arrays`, or that of the source ``arrays:DIR`` itself.

    Raises:
      InputError: if the source cannot be understood or found.
    """
    return _find(source, image_size, Path(data_dir), archives)[2]


def described(
    source: str, *, data_dir: Path, archives: Path | None = None
) -> dict[str, list[Item]] | None:
    """What the pictures of a drawn source are known to show.

    Args:
      source: as for `load`.
      data_dir: as for `load`.
      archives: as for `load`.

    Returns:
      Per split ('train', 'val') an item a row; None for pictures of which nothing is known.

    Raises:
      InputError: if the source cannot be understood or found.
    """
    data_dir = expanded(data_dir)
    found = _parse(source, data_dir, archives)
    if not isinstance(found, kinds.Archive) or found.archives is None or found.side != "photo":
        return None
    items = catalogue.described(pix2pix_archives.locate(found.name, found.archives, data_dir))
    if items is not None and found.half:
        middle = len(items["train"]) // 2
        part = slice(middle) if found.half == "first" else slice(middle, None)
        items = items | {"train": items["train"][part]}
    return items


_PIX2PIX = "of a pix2pix archive (Isola et al. 2017), made from data of others with their own terms"
_ARCHIVE_LICENCES = {
    "edges2shoes": "photographs of [UT Zappos50K]"
    "(http://vision.cs.utexas.edu/projects/finegrained/utzap50k) (Yu and Grauman 2014), whose page "
    f"has its terms; {_PIX2PIX}",
    "edges2handbags": "photographs of handbags from Amazon, collected for "
    "[iGAN](https://github.com/junyanz/iGAN) (Zhu et al. 2016), with no licence that this library "
    f"knows of; {_PIX2PIX}",
}
_LICENCES = {
    "catalogue": "drawn by discogan_jax itself, free to use as its code is",
    "tfds": "a data set of TensorFlow Datasets, whose catalogue has its terms",
}


def kind(source: str) -> str:
    """Returns the kind of a source, such as ``folder``."""
    return source.partition(":")[0]


def is_drawn(source: str) -> bool:
    """Whether the pictures are drawn by this library, so that anyone may publish them."""
    return kind(source) == "catalogue"


def are_pairs(source_a: str, source_b: str) -> bool:
    """Whether held-out image i of one source is the partner of image i of the other."""
    sides = [source.split("/") for source in (source_a, source_b)]
    return (
        all(parts[0].startswith("archive:") and len(parts) > 1 for parts in sides)
        and sides[0][0] == sides[1][0]
        and sides[0][1] != sides[1][1]
    )


def public_name(source: str) -> str:
    """Returns the source without the folder that it lies in, which is private."""
    name, _, rest = source.partition(":")
    return f"{name}:{Path(rest).name}" if name in ("folder", "arrays") else source


def dataset(source: str) -> str | None:
    """Returns the name of the published data set that a source is part of, or None."""
    _, _, rest = source.partition(":")
    ends = {"archive": "/", "tfds": ":"}
    return rest.split(ends[kind(source)])[0] if kind(source) in ends else None


def licence(source: str) -> str:
    """Describes what is known of the origin and the licence of a source's pictures."""
    if kind(source) == "archive":
        return _ARCHIVE_LICENCES.get(dataset(source) or "", _PIX2PIX)
    private = "pictures of whoever trained this, with terms that only they know"
    return _LICENCES.get(kind(source), private)


def _find(
    source: str, image_size: int, data_dir: Path, archives: Path | None
) -> tuple[kinds.Source | None, dict[str, Any], Path]:
    if image_size < 1:
        raise InputError(f"image_size is {image_size}; it must be at least 1.")
    data_dir = expanded(data_dir)
    found = _parse(source, data_dir, archives)
    if isinstance(found, Path):
        return None, {}, found
    facts = {"image_size": image_size, "decode_version": DECODE_VERSION, **found.facts()}
    name = cache.folder_name(f"{found.label}-{image_size}", facts)
    return found, facts, data_dir / "arrays" / name


def _parse(source: str, data_dir: Path, archives: Path | None) -> kinds.Source | Path:
    kind, colon, rest = source.partition(":")
    if not colon:
        hint = f"; for a folder of pictures write folder:{source}" if os.sep in source else ""
        raise InputError(f"Source {source!r} must start with one of {_kinds()}{hint}.")
    kinds.choose(kind, _GRAMMAR, source, "kind of source")
    if kind == "catalogue":
        name = catalogue.ARCHIVES[kinds.choose(rest, catalogue.ARCHIVES, source, "drawn domain")]
        catalogue.write_archives(data_dir / "catalogue")
        return kinds.Archive(name, "photo", None, data_dir, data_dir / "catalogue")
    if kind == "archive" and len(parts := rest.split("/")) in (2, 3) and all(parts):
        half = parts[2] if len(parts) == 3 else None
        if half:
            kinds.choose(half, ("first", "second"), source, "half of the training files")
        given = None if archives is None else expanded(archives)
        return kinds.Archive(parts[0], parts[1], half, data_dir, given)
    if kind == "tfds" and (tfds := kinds.Tfds.parse(rest, data_dir)):
        return tfds
    if kind == "folder" and rest:
        return kinds.Folder.open(expanded(rest))
    if kind == "arrays" and rest:
        return expanded(rest)
    raise InputError(f"Source {source!r} is not complete; write {_GRAMMAR[kind]}.")


def _kinds() -> str:
    return ", ".join(f"{kind}:" for kind in _GRAMMAR)
