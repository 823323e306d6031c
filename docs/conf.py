"""Configures Sphinx, which `make docs` runs; the pages load no external resources."""

import os
import sys
import typing
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "_ext")]
# Must be set before jaxtyping is imported: shapes are then shown as in the source code,
# Float[Array, "B H W 3"].
typing.GENERATING_DOCUMENTATION = "discogan_jax"  # type: ignore[attr-defined]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import discogan_jax  # noqa: E402

project = "discogan_jax"
author = "the discogan_jax authors"
release = discogan_jax.__version__
html_title = f"{project} {release}"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
exclude_patterns = ["_build"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "command_line", "mathml"]
smartquotes = False
highlight_language = "none"

nitpicky = True
# Single backticks in docstrings are names of this library (see `_resolve_short_name`), names of
# other libraries, or plain code.
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:obj", ".*"),
    ("py:class", r"(?!discogan_jax\.).*"),
    ("py:class", r"discogan_jax\..*\.([A-Z]|Result)"),  # type variables
    ("py:exc", "ValueError|OSError"),
]

autodoc_default_options = {"members": True, "special-members": "__call__"}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_use_ivar = True

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "auto"
nb_execution_excludepatterns = ["colab.ipynb"]  # it installs, and needs pictures; a test runs it
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"

_PACKAGES = (
    "discogan_jax",
    "discogan_jax.data",
    "discogan_jax.errors",
    "discogan_jax.evaluation.metrics",
)


def setup(app: Any) -> None:
    """Adds short names in docstrings, and signatures without the fields that Flax adds."""
    app.connect("missing-reference", _resolve_short_name)
    app.connect("autodoc-process-signature", _without_flax_fields)


def _resolve_short_name(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Resolves `losses.LossWeights` in a docstring to `discogan_jax.losses.LossWeights`."""
    if node["refdomain"] != "py":
        return None
    domain, target = env.domains["py"], node["reftarget"]
    for package in _PACKAGES:
        full = f"{package}.{target}"
        if full in domain.objects:
            return domain.resolve_xref(
                env, node["refdoc"], app.builder, "obj", full, node, contnode
            )
    return None


def _without_flax_fields(
    app: Any, what: str, name: str, thing: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Removes the fields that Flax adds to every module from signatures."""
    if what != "class" or not signature or ", parent:" not in signature:
        return None
    return signature.partition(", parent:")[0] + ")", returns
