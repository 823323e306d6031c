"""Named sources of pictures: each becomes uint8 arrays, decoded once.

==========================================  ========================================================
source                                      pictures
==========================================  ========================================================
`archive:NAME/SIDE`                         one side of a pix2pix archive
`archive:NAME/SIDE/HALF`                    only the `first` or `second` half of its training files
`folder:PATH`                               every picture below a folder, or below its `train` and
                                            `val` (or `valid`, `test`, ...)
`pairs:PATH/SIDE`                           the `left` or `right` half of each picture of a folder,
                                            which show a pair side by side
`pairs:PATH/SIDE/HALF`                      only the `first` or `second` half of those to train on
`tfds:NAME[/CONFIG][:VERSION]:TRAIN[:VAL]`  splits of a data set of TensorFlow Datasets
`catalogue:bags`, `catalogue:shoes`         drawn by this library
`arrays:DIR`                                `train.npy` and `val.npy`, such as the cache folder of
                                            another machine; `keep` makes one of arrays in memory
==========================================  ========================================================

An edge and its photo never meet in training when one domain uses `edges/first` and the other
`photo/second`. TensorFlow is imported only to decode archives and data sets of TensorFlow Datasets.
"""

import os
from pathlib import Path
from typing import Any

from discogan_jax.data import arrays, cache, copies
from discogan_jax.data.arrays import Arrays, InMemory
from discogan_jax.data.cache import Splits
from discogan_jax.data.catalogue.items import Items
from discogan_jax.data.catalogue.source import Catalogue
from discogan_jax.data.folder import Folder
from discogan_jax.data.pairs import Pairs
from discogan_jax.data.pix2pix.source import ArchiveSide
from discogan_jax.data.source import CachedSource, Places, Source, Wanted
from discogan_jax.data.tfds import Tfds
from discogan_jax.errors import InputError, choose
from discogan_jax.files import expanded
from discogan_jax.images import Preparation

#: The kinds of sources, by the word before the colon.
KINDS: dict[str, type[Source]] = {
    source.kind: source for source in (ArchiveSide, Folder, Pairs, Tfds, Catalogue, Arrays)
}


def load(source: str, *, data_dir: Path, archives: Path | None = None, **wanted: Any) -> Splits:
    """Opens the pictures of a source; decodes them first if that was never done.

    Args:
      source: the source, in a form of the table above.
      data_dir: folder of downloads, prepared data and arrays.
      archives: folder of `NAME.tar.gz` files, or one such file; None for the published ones.
      **wanted: fields of `source.Wanted`; ``image_size=64`` is enough.

    Returns:
      The pictures, mapped into memory from the folder that `identify` names.

    Raises:
      InputError: the source cannot be understood, found, read or cached.
    """
    return parse(source).load(Wanted(**wanted), _places(data_dir, archives))


def keep(pictures: InMemory, *, data_dir: Path, **wanted: Any) -> str:
    """Writes pictures that are in memory below `data_dir`, once, and returns their source.

    Args:
      pictures: uint8 ``[N, H, W, C]``, of which about 5% are held out, chosen by their content, or
        a pair of such arrays: those to train on and those to hold out.
      data_dir: folder of downloads, prepared data and arrays.
      **wanted: fields of `source.Wanted`, which the pictures must have already.

    Returns:
      The source ``arrays:DIR``; the same one for equal pictures.

    Raises:
      InputError: they are not such pictures, or cannot be written.
    """
    return arrays.keep(pictures, Wanted(**wanted), _places(data_dir, None))


def prepared(
    source: str, *, data_dir: Path, archives: Path | None = None, **wanted: Any
) -> Splits | None:
    """Opens the pictures of a source if they are decoded already; returns None if they are not.

    Args:
      source: as for `load`.
      data_dir: as for `load`.
      archives: as for `load`.
      **wanted: as for `load`.
    """
    try:
        folder = identify(source, data_dir=data_dir, archives=archives, **wanted)
        return cache.open_arrays(folder, Wanted(**wanted).size, Wanted(**wanted).channels)
    except InputError:
        return None


def identify(source: str, *, data_dir: Path, archives: Path | None = None, **wanted: Any) -> Path:
    """Names the folder that has, or will have, the arrays of a source.

    The name contains a key of everything that determines the arrays: equal folders have equal
    arrays. Nothing is written, downloaded, drawn or decoded.

    Args:
      source: as for `load`.
      data_dir: as for `load`.
      archives: as for `load`.
      **wanted: as for `load`.

    Returns:
      A folder below `data_dir/arrays`, or that of the source ``arrays:DIR`` itself.

    Raises:
      InputError: the source cannot be understood or found.
    """
    return parse(source).cache_folder(Wanted(**wanted), _places(data_dir, archives))


def preparation(
    source: str, *, data_dir: Path, archives: Path | None = None, **wanted: Any
) -> Preparation:
    """Returns what is done to pictures of a source; arguments as for `load`.

    Raises:
      InputError: the source cannot be understood.
    """
    return parse(source).preparation(Wanted(**wanted))


def items(source: str, *, data_dir: Path, archives: Path | None = None) -> Items | None:
    """Returns what the pictures of a drawn source show.

    Args:
      source: as for `load`.
      data_dir: as for `load`.
      archives: as for `load`.

    Returns:
      Per split ('train', 'val') one item a row; None for pictures of which nothing is known.

    Raises:
      InputError: the source cannot be understood or found.
    """
    return parse(source).items(_places(data_dir, archives))


def are_pairs(source_a: str, source_b: str) -> bool:
    """Whether held-out picture i of one source is the partner of picture i of the other."""
    return parse(source_a).pairs_with(parse(source_b))


def check_apart(source_a: str, source_b: str) -> None:
    """Refuses two sources that hold the same pictures, where these are not the sides of pairs.

    Raises:
      InputError: pictures of one folder would be in both.
    """
    if folder := parse(source_a).shared_with(parse(source_b)):
        raise InputError(
            f"{source_a} and {source_b} share the pictures of {folder}; name two folders, neither "
            "of them inside the other, or give other arrays."
        )


def outdated(source: str, *, data_dir: Path, archives: Path | None = None) -> list[copies.Copy]:
    """Finds arrays of a source that it does not use any more; arguments as for `load`.

    Raises:
      InputError: the source cannot be understood or found.
    """
    found, places = parse(source), _places(data_dir, archives)
    return list(copies.outdated(found, places)) if isinstance(found, CachedSource) else []


def parse(source: str) -> Source:
    """Creates the source that a text describes; this has no side effects.

    Args:
      source: as for `load`.

    Raises:
      InputError: the text has none of the forms of the table above.
    """
    kind, colon, text = source.partition(":")
    # Whoever writes a path means a folder, most likely.
    if not colon:
        kinds = ", ".join(f"{kind}:" for kind in KINDS)
        hint = f"; for a folder of pictures write folder:{source}" if os.sep in source else ""
        raise InputError(f"Source {source!r} must start with one of {kinds}{hint}.")
    try:
        found = KINDS[choose(kind, KINDS, "kind of source")].parse(text)
    except InputError as error:
        raise InputError(f"Source {source!r}: {error}") from error
    if found is None:
        raise InputError(f"Source {source!r} is not complete; write {KINDS[kind].grammar}.")
    return found


def _places(data_dir: Path, archives: Path | None) -> Places:
    return Places(expanded(data_dir), None if archives is None else expanded(archives))
