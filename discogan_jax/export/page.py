"""The page that pictures are dropped on: `discogan serve` sends it, the format `web` has it."""

import base64
import hashlib
from importlib.resources import files
from string import Template


def read(name: str) -> str:
    """Reads one of the page's files."""
    return (files("discogan_jax.export") / "web_page" / name).read_text(encoding="utf-8")


STYLE = read("page.css")


def script(model: str) -> str:
    """Returns the script of a page.

    Args:
      model: the script that defines what translates, see `page.js`.
    """
    return '"use strict";\n' + model + read("page.js")


def page(script: str, head: str = "") -> str:
    """Returns the page in one file.

    Args:
      script: from `script`.
      head: further lines of its head.
    """
    return Template(read("page.html")).substitute(head=head, style=STYLE, script=script)


def digest(text: str) -> str:
    """Returns the name that a Content-Security-Policy has for a script or a style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
