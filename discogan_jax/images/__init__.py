"""Pictures as arrays: read, prepared for a network, translated in batches, tiled, saved."""

from discogan_jax.images.arrays import in_batches as in_batches
from discogan_jax.images.arrays import in_unit as in_unit
from discogan_jax.images.arrays import to_uint8 as to_uint8
from discogan_jax.images.arrays import to_unit as to_unit
from discogan_jax.images.fitting import fit as fit
from discogan_jax.images.fitting import share_cut as share_cut
from discogan_jax.images.fitting import unfit as unfit
from discogan_jax.images.kinds import FORMATS as FORMATS
from discogan_jax.images.picture import Picture as Picture
from discogan_jax.images.picture import Size as Size
from discogan_jax.images.preparation import Preparation as Preparation
from discogan_jax.images.reading import MAX_BYTES as MAX_BYTES
from discogan_jax.images.reading import MAX_PIXELS as MAX_PIXELS
from discogan_jax.images.reading import PictureError as PictureError
from discogan_jax.images.reading import kind as kind
from discogan_jax.images.reading import load as load
from discogan_jax.images.reading import page_count as page_count
from discogan_jax.images.reading import read as read
from discogan_jax.images.saving import is_saved as is_saved
from discogan_jax.images.saving import save as save
from discogan_jax.images.sheet import grid as grid
from discogan_jax.images.values import from_unit as from_unit
from discogan_jax.images.values import needed_range as needed_range
from discogan_jax.images.values import range_text as range_text
