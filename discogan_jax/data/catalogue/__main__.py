"""`python -m discogan_jax.data.catalogue DIR` draws the archives."""

import sys

from discogan_jax.data.catalogue.archive import main

if __name__ == "__main__":
    sys.exit(main())
