"""A run as a web page where pictures are dropped and translated. Needs the extra ``serve``."""

from discogan_jax.serve.server import serve as serve
