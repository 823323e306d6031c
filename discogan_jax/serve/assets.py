"""The texts that the server sends: one page and one login form, each with its style and script."""

import base64
import hashlib
import html
from importlib.resources import files
from string import Template


def _read(name: str) -> str:
    return (files("discogan_jax.serve") / "static" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_STYLE, _SCRIPT = _read("page.css"), _read("page.js") + _read("matches.js")

PAGE = Template(_read("page.html")).substitute(style=_STYLE, script=_SCRIPT)
"""The page. It is the same for every run: its script asks the server about the run."""

POLICY = (
    f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy: the browser runs no other script and asks no other server."""


def login(message: str = "") -> str:
    """Makes the form that asks for the password.

    Args:
      message: the reason why the form is shown again; nothing at first.
    """
    return Template(_read("login.html")).substitute(style=_STYLE, message=html.escape(message))
