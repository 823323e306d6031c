"""Drawn handbags and shoes, in the layout of pix2pix's edges2* archives."""

from discogan_jax.data.catalogue.archive import ARCHIVES as ARCHIVES
from discogan_jax.data.catalogue.archive import VAL_START as VAL_START
from discogan_jax.data.catalogue.archive import recorded_items as recorded_items
from discogan_jax.data.catalogue.archive import write_archives as write_archives
