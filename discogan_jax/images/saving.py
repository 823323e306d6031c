"""Writes pictures to files, with a mark that holds until somebody retouches them."""

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from PIL import ExifTags, Image

from discogan_jax.errors import InputError
from discogan_jax.files import MARK, read_mark, replacing

_SAVED_AS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}

# Of each type of values: the formats that hold them, and the numbers of channels.
_HELD = {
    "uint8": (("PNG", "JPEG", "TIFF"), (1, 3)),
    "uint16": (("PNG", "TIFF"), (1,)),
    "float32": (("TIFF",), (1,)),
}
SUFFIXES = tuple(_SAVED_AS)
"""Suffixes, in lower case, of the files that `save` writes."""


def save(path: str | Path, image: Shaped[np.ndarray, "H W C"], role: str = "picture") -> None:
    """Writes a PNG, a JPEG or a TIFF, by the suffix, atomically.

    Args:
      path: the file; missing folders are created.
      image: the picture: RGB or grey (one channel) of 8 bits, or grey of uint16 (PNG and TIFF) or
        float32 (TIFF). A grey picture makes a grey file.
      role: what the picture is, for `is_saved`; its EXIF description says so, and has a digest of
        the pixels.

    Raises:
      InputError: the suffix is another one, the format does not hold such pictures, or the file
        cannot be written.
    """
    path, channels = Path(path), image.shape[-1]
    suffix = path.suffix.lower()
    if suffix not in _SAVED_AS:
        known = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise InputError(f"{path}: pictures are saved as {known}, not {suffix or 'nothing'!r}.")
    form = _SAVED_AS[suffix]
    forms, held = _HELD.get(image.dtype.name, ((), ()))
    if form not in forms or channels not in held:
        what = f"{channels} channel{'s' * (channels > 1)} of {image.dtype}"
        known = "8-bit grey or RGB, uint16 grey (PNG, TIFF) and float32 grey (TIFF)"
        raise InputError(f"{path}: {form} is not written with {what}; {known} can be saved.")
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if form == "JPEG" else {}
    shown = picture
    if form == "JPEG":  # whose pixels are others
        picture.save(encoded := io.BytesIO(), format=form, **options)
        shown = Image.open(encoded)
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = f"{MARK}: {role}, {_digest(shown)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            picture.save(temporary, format=form, exif=exif, **options)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


def is_saved(path: Path, role: str) -> bool:
    """Whether a file is a picture that `save` wrote in a role, and shows what it did then."""
    mark = re.search(rf"{MARK}: {role}, ([0-9a-f]{{16}})", read_mark(path))
    if mark is None:
        return False
    try:
        with Image.open(path) as picture:
            return _digest(picture) == mark[1]
    except Image.DecompressionBombError:
        return False


def _digest(picture: Image.Image) -> str:
    values = np.asarray(picture)
    head = f"{values.dtype.name} {values.shape}".encode()
    return hashlib.blake2b(head + values.tobytes(), digest_size=8).hexdigest()
