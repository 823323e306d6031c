"""Pictures as arrays: read, prepared for a network, translated in batches, tiled, saved."""

from discogan_jax.images.arrays import in_batches as in_batches
from discogan_jax.images.arrays import to_uint8 as to_uint8
from discogan_jax.images.arrays import to_unit as to_unit
from discogan_jax.images.fitting import fit as fit
from discogan_jax.images.preparation import Preparation as Preparation
from discogan_jax.images.preparation import Size as Size
from discogan_jax.images.reading import EXTENSIONS as EXTENSIONS
from discogan_jax.images.reading import FORMATS as FORMATS
from discogan_jax.images.reading import MAX_BYTES as MAX_BYTES
from discogan_jax.images.reading import MAX_PIXELS as MAX_PIXELS
from discogan_jax.images.reading import read as read
from discogan_jax.images.saving import save as save
from discogan_jax.images.sheet import grid as grid
