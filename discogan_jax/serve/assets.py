"""The texts that the server sends: one page and one login form, each with its style and script."""

import html
from importlib.resources import files
from string import Template

from discogan_jax.export.page import STYLE, digest, page, script


def _read(name: str) -> str:
    return (files("discogan_jax.serve") / "static" / name).read_text(encoding="utf-8")


_SCRIPT = script(_read("server.js") + _read("matches.js"))

PAGE = page(_SCRIPT)
"""The page. It is the same for every run: its script asks the server about the run."""

POLICY = (
    f"default-src 'none'; script-src {digest(_SCRIPT)}; style-src {digest(STYLE)}; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy: the browser runs no other script and asks no other server."""


def login(message: str = "") -> str:
    """Makes the form that asks for the password.

    Args:
      message: the reason why the form is shown again; nothing at first.
    """
    return Template(_read("login.html")).substitute(style=STYLE, message=html.escape(message))
