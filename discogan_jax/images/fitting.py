"""Brings pictures of any shape to one size."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image


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
