"""Writes pictures to files."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from discogan_jax.errors import InputError
from discogan_jax.files import replacing

_SAVED_AS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def save(path: str | Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Writes a PNG or a JPEG, by the suffix, atomically.

    Args:
      path: the file; missing folders are created.
      image: the picture.

    Raises:
      InputError: the suffix is none of .png, .jpg, .jpeg, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in _SAVED_AS:
        suffix = path.suffix or "nothing"
        raise InputError(f"{path}: pictures are saved as .png, .jpg or .jpeg, not {suffix!r}.")
    kind, picture = _SAVED_AS[path.suffix.lower()], Image.fromarray(image)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            picture.save(temporary, format=kind, quality=95, subsampling=0)  # for JPEG alone
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
