"""`python -m discogan_jax.cli`: the command where nothing is installed."""

import sys

from discogan_jax.cli import main

sys.exit(main())
