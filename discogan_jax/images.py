"""Pictures as uint8 arrays: read, fit to a square, save."""

import contextlib
import io
import math
import stat
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps

from discogan_jax.errors import InputError
from discogan_jax.files import replacing

EXTENSIONS = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Suffixes, in lower case, of the files that `read` understands."""

MAX_PIXELS = 80_000_000
"""Larger pictures are refused before they are decoded: a small file can unpack to gigabytes.
Decoding takes up to 20 bytes a pixel. Below the size at which Pillow itself starts to warn."""

MAX_BYTES = 1 << 30
"""Larger files are refused before they are opened: some decoders read all of a file at once."""

# Only these decoders run on a file, whatever its name: others start programs (EPS) or are rare.
_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
_SAVED_AS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
}
_TIFF_BITS = 258  # the tag BitsPerSample


def read(source: str | Path | bytes | BinaryIO) -> UInt8[np.ndarray, "H W 3"]:
    """Reads any picture as 8-bit RGB, upright, on white.

    The camera's orientation is applied, transparency is laid on white, palettes, CMYK and grey
    become RGB, and of an animation the first frame is taken. Deep pictures are scaled, not
    clipped: 16 bits by their full scale; 32 bits and floating point by the smallest of the usual
    full scales (1 for floats, 8, 16, 31 or 32 bits) that holds their brightest value.

    Args:
      source: a path, the bytes of a file, or a file open for reading in binary mode.

    Returns:
      The picture.

    Raises:
      InputError: if there is no such file, it is no picture, it is damaged or it is too large.
        Nothing else, whatever the bytes are.
    """
    name = _name(source)
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        if isinstance(file, str | Path):
            _check_file(Path(file))
        with Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            if width * height <= MAX_PIXELS:
                return np.array(_on_white(_eight_bits(_upright(image))), np.uint8)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{name}: there is no such file; check the path.") from None
    except PermissionError:
        raise InputError(f"{name} may not be read; check its permissions.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{name} is too large: the limit is {MAX_PIXELS:,} pixels in all. Scale it down first."
        ) from error
    except Exception as error:  # damaged files make decoders raise nearly anything
        kinds = ", ".join(sorted(EXTENSIONS))
        raise InputError(
            f"{name} cannot be read as a picture ({error}); "
            f"replace it or remove it. Readable are {kinds}."
        ) from error
    raise InputError(
        f"{name} is too large: {width}×{height} pixels, the limit is {MAX_PIXELS:,} in all. "
        "Scale it down first."
    )


def fit(image: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "S S 3"]:
    """Cuts the largest centred square and resizes it; the aspect of what is shown is kept.

    Shrinking uses Hamming's filter: antialiased, nearly as sharp as bicubic, and never negative,
    so dark objects on white get no bright rims and thin lines lose no ink to clipping, as they
    would with bicubic or Lanczos. Enlarging is bilinear. A square of the right size is unchanged.

    Args:
      image: the picture.
      size: side of the result, in pixels.

    Returns:
      The square picture.
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
    """Turns [0, 1] into 0..255: clipped, then rounded to the nearest.

    Args:
      x: floating-point values of any shape; a NumPy or a JAX array.

    Returns:
      The values as bytes.

    Raises:
      ValueError: if a value is NaN or infinite, which would make a diverged network's picture
        look valid, or if `x` is not floating point (bytes need no conversion).
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
    """Turns 0..255 into [0, 1], as `steps.unit` does on the device."""
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
    """Writes a PNG or a JPEG, by the suffix; a reader never sees half a file.

    Args:
      path: where to; folders on the way are created.
      image: the picture.

    Raises:
      InputError: if the suffix is none of .png, .jpg, .jpeg, or the place cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in _SAVED_AS:
        raise InputError(
            f"{path}: pictures are saved as .png, .jpg or .jpeg, not {path.suffix or 'nothing'!r}."
        )
    kind, options = _SAVED_AS[path.suffix.lower()]
    picture = Image.fromarray(image)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            picture.save(temporary, format=kind, **options)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


def _name(source: str | Path | bytes | BinaryIO) -> str:
    if isinstance(source, str | Path):
        return str(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "The picture"


def _check_file(path: Path) -> None:
    """Refuses what must not even be opened: a pipe would make the reader wait for a writer."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a folder, not a picture; name a file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is a pipe or a device, not a picture; name a file.")
    if status.st_size > MAX_BYTES:
        raise InputError(
            f"{path} is too large: {status.st_size:,} bytes, the limit is {MAX_BYTES:,}."
        )


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    # A damaged camera record is no reason to lose a good picture.
    with contextlib.suppress(Exception):
        # In place: a copy would have lost its format and its tags, which tell how deep it is.
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """Brings the deep grey modes to 'L' or 'LA'; others have 8 bits (or fewer) already."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;"):
        return image
    values = np.asarray(image)
    if image.mode == "F":
        if not np.isfinite(values).all():
            raise ValueError("it holds values that are not finite numbers")
        scales = [1.0, 2.0**8 - 1, 2.0**16 - 1, 2.0**32 - 1]
    elif image.mode.startswith("I;") or image.format == "PNG":
        # PNG's deep greys are 16 bits, whichever mode Pillow holds them in.
        tags = getattr(image, "tag_v2", {})
        bits = tags.get(_TIFF_BITS, (16,))[0]
        scales = [2.0**bits - 1]
    else:
        scales = [2.0**bits - 1 for bits in (8, 16, 31, 32)]
    top = float(values.max(initial=0))
    full = next((scale for scale in scales if top <= scale), max(top, 1.0))
    grey = to_uint8(np.clip(values / full, 0.0, 1.0))
    clear = image.info.get("transparency")  # PNG names a grey that is not to be seen
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
    columns: Sequence[tuple[str, UInt8[np.ndarray, "N S S 3"]]],
    *,
    cell: int = 96,
    gap: int = 4,
) -> UInt8[np.ndarray, "H W 3"]:
    """Tiles pictures: one labelled column per entry, one row per picture.

    Small pictures are enlarged a whole number of times without smoothing, so that every pixel
    of the original can be seen. Labels are wrapped, and made smaller where that helps.

    Args:
      columns: label (arrows '→' are understood) and pictures of each column.
      cell: pictures smaller than this are enlarged until they are at least this large.
      gap: white pixels between pictures and around them.

    Returns:
      The grid, dark text above pictures on white.

    Raises:
      ValueError: if there are no columns, or they differ in number or size of pictures.
    """
    shapes = {np.shape(pictures) for _, pictures in columns}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 4 or shape[1] != shape[2]:
        raise ValueError(f"Columns must be alike [N, S, S, 3] arrays, not {sorted(shapes)}.")
    number, size = shape[:2]
    scale = max(1, math.ceil(cell / size))
    side = size * scale
    header, line_height, font = _wrapped([_plain(label) for label, _ in columns], side)
    top = gap + max(len(lines) for lines in header) * line_height
    canvas = Image.new(
        "RGB", (gap + len(columns) * (side + gap), top + gap + number * (side + gap)), "white"
    )
    draw = ImageDraw.Draw(canvas)
    for column, lines in enumerate(header):
        centre = gap + column * (side + gap) + side / 2
        for row, line in enumerate(lines):
            # Short labels stand at the bottom, next to their pictures.
            y = top - (len(lines) - row) * line_height
            _write(draw, line, (centre, y + line_height / 2), font)
    sheet = np.array(canvas)
    for column, (_, pictures) in enumerate(columns):
        left = gap + column * (side + gap)
        for row, picture in enumerate(pictures):
            y = top + gap + row * (side + gap)
            large = np.asarray(picture).repeat(scale, axis=0).repeat(scale, axis=1)
            sheet[y : y + side, left : left + side] = large
    return sheet


def _plain(label: str) -> str:
    # The built-in face is ASCII: accents are dropped, and what is left over becomes '?'.
    letters = unicodedata.normalize("NFKD", label)
    shown = (c if c.isascii() or c == "→" else "?" for c in letters if not unicodedata.combining(c))
    return "".join(shown)


def _width(line: str, font: ImageFont.FreeTypeFont) -> float:
    # The built-in face has no arrow: it is drawn, one em wide.
    words = line.split()
    blank = font.getlength(" ")
    widths = [font.size if word == "→" else font.getlength(word) for word in words]
    return sum(widths) + blank * max(0, len(words) - 1)


def _wrapped(labels: list[str], width: int) -> tuple[list[list[str]], int, ImageFont.FreeTypeFont]:
    """Chooses the largest text whose labels take at most two lines; the smallest takes any."""
    for size in range(16, 9, -1):
        font = _font(size)
        lines = [_lines(label, width, font) for label in labels]
        whole = all(_width(word, font) <= width for label in labels for word in label.split())
        if whole and max(map(len, lines)) <= 2:
            break
    return lines, size + 4, font


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType, which labels need.")
    return font


def _lines(label: str, width: int, font: ImageFont.FreeTypeFont) -> list[str]:
    lines = [""]
    for word in label.split():
        longer = f"{lines[-1]} {word}".strip()
        if _width(longer, font) <= width:
            lines[-1] = longer
            continue
        if lines[-1].endswith(" →") and _width(f"→ {word}", font) <= width:
            lines[-1:] = [lines[-1][:-2], f"→ {word}"]  # the arrow goes along with its target
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:  # a word wider than its column is broken where the column ends
            if lines[-1] and _width(lines[-1] + letter, font) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _write(
    draw: ImageDraw.ImageDraw, line: str, centre: tuple[float, float], font: ImageFont.FreeTypeFont
) -> None:
    ink = (40, 40, 40)
    x, middle = centre[0] - _width(line, font) / 2, centre[1]
    for word in line.split():
        if word == "→":
            tip, barb = x + font.size, font.size / 4
            draw.line([(x, middle), (tip, middle)], ink)
            for side in (-barb, barb):
                draw.line([(tip - barb, middle + side), (tip, middle)], ink)
            x = tip
        else:
            draw.text((x, middle), word, ink, font, anchor="lm")
            x += font.getlength(word)
        x += font.getlength(" ")
