"""Pictures as uint8 arrays: read, fit to a square, translated in batches, tiled, saved."""

import contextlib
import io
import math
import re
import stat
import unicodedata
from collections.abc import Callable, Sequence
from itertools import filterfalse
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from discogan_jax.errors import InputError
from discogan_jax.files import replacing

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

_SAVED_AS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
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


def fit(image: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "S S 3"]:
    """Crops the largest centred square and resizes it, which keeps the aspect ratio.

    Shrinking uses Hamming's filter: antialiased, nearly as sharp as bicubic, and never negative,
    so that dark objects on white get no bright rims and thin lines lose no ink to clipping, as they
    would with bicubic or Lanczos. Enlarging is bilinear. A square of the right size is unchanged.

    Args:
      image: the picture.
      size: side of the result, in pixels.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    # Whole pixels: half a pixel of offset would blur a picture that needs no resizing.
    left, top = (width - side) // 2, (height - side) // 2
    # Cut first: given a box, Pillow's filters still look at the pixels just outside it.
    square = Image.fromarray(np.ascontiguousarray(image[top : top + side, left : left + side]))
    resample = Image.Resampling.HAMMING if size < side else Image.Resampling.BILINEAR
    return np.array(square.resize((size, size), resample), np.uint8)


def to_uint8(x: Float[Any, "..."]) -> UInt8[np.ndarray, "..."]:
    """Converts [0, 1] to 0..255: clipped, then rounded to the nearest.

    Args:
      x: floating-point values of any shape; a NumPy or a JAX array.

    Raises:
      ValueError: a value is NaN or infinite, which would make a diverged network's picture look
        valid, or `x` is not floating point (bytes need no conversion).
    """
    array: Shaped[np.ndarray, ...] = np.asarray(x)
    if array.dtype.kind in "biuc":
        raise ValueError(f"to_uint8 takes floating point in [0, 1], not {array.dtype}.")
    array = array.astype(np.float32)  # bfloat16 has no NumPy arithmetic worth using
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise ValueError(f"The picture has {bad} values of {array.size} that are NaN or infinite.")
    return np.rint(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)


def to_unit(x: UInt8[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Converts 0..255 to [0, 1], as `steps.unit` does on the device."""
    return np.asarray(x).astype(np.float32) / 255


def in_batches(
    f: Callable[[Any], Any], images: Shaped[np.ndarray, "N ..."], batch_size: int
) -> Shaped[np.ndarray, "N ..."]:
    """Applies a function of batches to any number of images.

    Args:
      f: the function; the last batch is filled up, so that it sees one shape and compiles once.
      images: arrays on a leading axis.
      batch_size: images at a time.
    """
    results = []
    for start in range(0, len(images), batch_size):
        batch = np.asarray(images[start : start + batch_size])
        filled = np.resize(batch, (batch_size, *batch.shape[1:]))
        results.append(np.asarray(f(filled))[: len(batch)])
    return np.concatenate(results)


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


def grid(
    columns: Sequence[tuple[str, UInt8[np.ndarray, "N S S 3"]]], *, cell: int = 96, gap: int = 4
) -> UInt8[np.ndarray, "H W 3"]:
    """Tiles pictures: one labelled column per entry, one row per picture.

    Small pictures are enlarged a whole number of times without smoothing, so that every pixel
    of the original can be seen.

    Args:
      columns: label and pictures of each column; ' → ' in a label is drawn as an arrow.
      cell: least side of a picture; smaller ones are enlarged until they reach it.
      gap: white pixels between pictures and around them.

    Returns:
      The grid, dark text above pictures on white.

    Raises:
      ValueError: there are no columns, or they differ in number or size of pictures.
    """
    # The layout: how large the cells are, and where they begin below the labels.
    shapes = {np.shape(pictures) for _, pictures in columns}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 4 or shape[1] != shape[2]:
        raise ValueError(f"Columns must be alike [N, S, S, 3] arrays, not {sorted(shapes)}.")
    number, size = shape[:2]
    scale = max(1, math.ceil(cell / size))
    side = size * scale
    headers = [_header(label, side) for label, _ in columns]
    top = gap + max(header.height for header in headers)

    # The cells: enlarged, with a gap to the right and below, in columns.
    cells = np.stack([np.asarray(pictures) for _, pictures in columns], axis=1)
    cells = cells.repeat(scale, axis=2).repeat(scale, axis=3)
    cells = np.pad(cells, [(0, 0), (0, 0), (0, gap), (0, gap), (0, 0)], constant_values=255)
    rows = cells.swapaxes(1, 2).reshape(number * (side + gap), len(columns) * (side + gap), 3)
    sheet = Image.fromarray(np.pad(rows, [(top + gap, 0), (gap, 0), (0, 0)], constant_values=255))

    # Short labels stand at the bottom, next to their pictures.
    for column, header in enumerate(headers):
        middle = gap + column * (side + gap) + (side - header.width) // 2
        sheet.paste(header, (middle, top - header.height))
    return np.array(sheet)


def _header(label: str, width: int) -> Image.Image:
    """Draws a label: one line, or one for each arrow; what is still too wide is scaled down."""
    # The built-in face is ASCII: accents are dropped, and what is left over becomes '?'.
    letters = filterfalse(unicodedata.combining, unicodedata.normalize("NFKD", label))
    text = "".join(c if c.isascii() or c == "→" else "?" for c in letters)
    lines = [_line(text)]
    if lines[0].width > width:  # an arrow stays with its target
        lines = [_line(part) for part in re.split(r" (?=→ )", text)]
    for line in lines:
        line.thumbnail((width, line.height), Image.Resampling.LANCZOS)
    header = Image.new("L", (max(x.width for x in lines), sum(x.height for x in lines)), "white")
    y = 0
    for line in lines:
        header.paste(line, ((header.width - line.width) // 2, y))
        y += line.height
    return header


def _line(text: str) -> Image.Image:
    """Draws one line of text."""
    size, ink = 14, 40
    font = ImageFont.load_default(size=size)
    words = text.split()
    # The built-in face has no arrow: it is drawn, one em wide.
    widths = [size if word == "→" else font.getlength(word) for word in words]
    blank = font.getlength(" ")
    width = math.ceil(sum(widths) + blank * max(0, len(words) - 1))
    line = Image.new("L", (max(1, width), size + 4), "white")
    draw = ImageDraw.Draw(line)
    x, middle = 0.0, line.height / 2
    for word, extent in zip(words, widths, strict=True):
        if word == "→":
            tip = (x + extent - 1, middle)
            draw.line([(x, middle), tip], ink)
            draw.line([(tip[0] - 3, middle - 3), tip, (tip[0] - 3, middle + 3)], ink)
        else:
            draw.text((x, middle), word, ink, font, anchor="lm")
        x += extent + blank
    return line
