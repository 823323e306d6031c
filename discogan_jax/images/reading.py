"""Reads picture files, whatever they are, and refuses what must not be decoded."""

import contextlib
import io
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from discogan_jax.errors import InputError
from discogan_jax.images.arrays import to_uint8

EXTENSIONS = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Suffixes, in lower case, of the files that `read` reads."""

MAX_PIXELS = 80_000_000
"""Larger pictures are refused before they are decoded: a small file can unpack to gigabytes.
Decoding takes up to 20 bytes a pixel. The limit is below that at which Pillow itself warns."""

MAX_BYTES = 1 << 30
"""Larger files are refused before they are opened: some decoders read all of a file at once."""

# The only decoders that run, whatever a file is called: others start programs (EPS) or are rare.
FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
"""Formats that `read` reads, as Pillow names them."""

_TIFF_BITS = 258  # the tag BitsPerSample


def read(source: str | Path | bytes | BinaryIO) -> UInt8[np.ndarray, "H W 3"]:
    """Reads any picture as 8-bit RGB, upright, on white.

    The camera's orientation is applied, transparency becomes white, palettes, CMYK and grey become
    RGB, and an animation is reduced to its first frame. Deep pictures are scaled, not clipped: 16
    bits by their full scale; 32 bits and floating point by the smallest of the usual full scales
    (1 for floats, 8, 16, 31 or 32 bits) that holds their brightest value.

    Args:
      source: a path, the bytes of a file, or a file open for reading in binary mode.

    Raises:
      InputError: there is no such file, it is no picture, it is damaged or it is too large.
        Nothing else is raised, whatever the bytes are.
    """
    name = str(source) if isinstance(source, str | Path) else getattr(source, "name", "The file")
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    limit = f"the limit is {MAX_PIXELS:,} pixels in all. Scale it down first."
    try:
        if isinstance(file, str | Path):
            _check_file(Path(file))
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise InputError(f"{name} is too large: {width}×{height} pixels, {limit}")
            image.load()
            # A damaged EXIF record is no reason to refuse a good picture.
            with contextlib.suppress(Exception):
                # In place: a copy would lose format and tags, which say how deep it is.
                ImageOps.exif_transpose(image, in_place=True)
            return np.array(_on_white(_eight_bits(image)), np.uint8)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{name}: there is no such file; check the path.") from None
    except PermissionError:
        raise InputError(f"{name} cannot be read; check its permissions.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name} is too large: {limit}") from error
    except Exception as error:  # damaged files make decoders raise nearly anything
        unknown = isinstance(error, UnidentifiedImageError)  # whose text names an object in memory
        problem = f"cannot be read as a picture ({'of no known kind' if unknown else error})"
        advice = f"replace it or remove it. Readable are {', '.join(sorted(EXTENSIONS))}"
        raise InputError(f"{name} {problem}; {advice}.") from error


def _check_file(path: Path) -> None:
    """Refuses what must not be opened: a pipe, for one, would wait for a writer."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        problem = "a folder, not a picture; name a file in it"
    elif not stat.S_ISREG(status.st_mode):
        problem = "a pipe or a device, not a picture; name a file"
    elif status.st_size > MAX_BYTES:
        problem = f"too large: {status.st_size:,} bytes, the limit is {MAX_BYTES:,}"
    else:
        return
    raise InputError(f"{path} is {problem}.")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Converts the deep grey modes to 'L' or 'LA'; others have 8 bits (or fewer) already."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;"):
        return image
    values = np.asarray(image)
    bits: Sequence[int] = (8, 16, 31, 32)
    if image.mode == "F":
        if not np.isfinite(values).all():
            raise ValueError("it holds values that are not finite numbers")
        bits = (1, 8, 16, 32)
    elif image.mode.startswith("I;") or image.format == "PNG":
        # PNG's deep greys are 16 bits, whichever mode Pillow holds them in.
        bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS, (16,))[:1]
    top = float(values.max(initial=0))
    full = next((scale for scale in (2.0**n - 1 for n in bits) if top <= scale), max(top, 1.0))
    grey = to_uint8(np.clip(values / full, 0.0, 1.0))
    clear = image.info.get("transparency")  # a PNG names the grey that is transparent
    if clear is None:
        return Image.fromarray(grey)
    opaque = np.where(values == clear, 0, 255).astype(np.uint8)
    return Image.fromarray(np.stack([grey, opaque], axis=-1))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
