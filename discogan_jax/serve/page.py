"""The page: a picture, its translation, the way back."""

import html
import math
from pathlib import Path
from typing import Any

import gradio as gr

from discogan_jax.errors import InputError
from discogan_jax.images import EXTENSIONS, MAX_PIXELS
from discogan_jax.serve.checkpoints import EXAMPLES, Shelf

MAX_UPLOAD = 32 << 20
"""Bytes of the largest picture that is taken."""

AT_ONCE = 2
"""So many pictures are translated at the same time."""

MAX_WAITING = 32
"""So many more wait; who comes then is told that the queue is full."""

UPLOADS_KEPT = 600
"""Seconds after which uploads and results are deleted; all of them are when the server ends."""

CSS = """
.fits img { width: 100%; height: 100%; object-fit: contain; }
#pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); }
#pictures .shown { min-width: 0 !important; aspect-ratio: 1; }
#examples .grid-wrap { height: auto; min-height: 0; max-height: none; padding-top: 2.5rem; }
#examples .grid-container { grid-template-columns: repeat(8, minmax(0, 1fr)); }
@media (max-width: 640px) {
  #examples .grid-container { grid-template-columns: repeat(4, minmax(0, 1fr)); }
}
"""


def theme() -> gr.themes.Base:
    """Gradio's own, with the system's fonts: nothing is loaded for them."""
    return gr.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )


def build(shelf: Shelf) -> gr.Blocks:
    """Builds the page.

    Args:
      shelf: what it translates with.
    """
    newest = shelf.newest
    names = dict(zip("ab", newest.domains, strict=True))
    title, size = " ↔ ".join(newest.domains), newest.image_size
    first = newest.directions[0]
    examples = [(d, x) for d, pictures in shelf.examples().items() for x in pictures]

    def labels(direction: str) -> list[str]:
        source, to = (names[d] for d in direction)
        return [source, f"{source} → {to}", f"{source} → {to} → {source}"]

    # Values are as the browser sent them: a picture is what Gradio tells of an uploaded file, and
    # `images.read` alone looks into it.
    def translate(picture: Any, direction: Any, step: Any) -> list[Any]:
        if direction not in newest.directions:
            direction = first
        nothing = [gr.update(value=None, label=label) for label in labels(direction)]
        if not picture:
            return [gr.skip(), *nothing, ""]
        step = step if isinstance(step, int | float) and math.isfinite(step) else None
        try:
            shown = shelf.show(Path(picture["path"]), direction, step)
        except InputError as error:
            gr.Warning(html.escape(str(error)), title="No translation")  # it takes HTML
            return [gr.update(value=None), *nothing, ""]
        pictures = zip((shown.taken, shown.made, shown.back), labels(direction), strict=True)
        said = "" if shown.step is None else f"By the checkpoint of step {shown.step:,}."
        updates = [gr.update(value=value, label=label) for value, label in pictures]
        return [gr.skip(), *updates, said]

    def choose(event: gr.SelectData) -> list[Any]:
        domain, picture = examples[event.index]
        return [picture, next(d for d in newest.directions if d[0] == domain)]

    with gr.Blocks(
        title=title, analytics_enabled=False, delete_cache=(UPLOADS_KEPT // 10, UPLOADS_KEPT)
    ) as blocks:
        gr.Markdown(f"# {title}")
        with gr.Row():
            with gr.Column(min_width=280):
                picture = gr.Image(
                    label="Your picture",
                    sources=["upload", "clipboard"],
                    format="png",
                    height=280,
                    elem_classes="fits",
                )
                direction = gr.Radio(
                    [(" → ".join(names[x] for x in d), d) for d in newest.directions],
                    value=first,
                    label="Direction",
                )
                step = gr.Slider(**_range(shelf.steps()), label="Checkpoint of step")
            with gr.Column(scale=3):
                with gr.Row(elem_id="pictures"):
                    outputs = [
                        gr.Image(
                            label=label,
                            format="png",
                            interactive=False,
                            buttons=["download"],
                            elem_classes=["shown", "fits"],
                            visible=i < 2 or first[::-1] in newest.directions,
                        )
                        for i, label in enumerate(labels(first))
                    ]
                said = gr.Markdown()
        translating: dict[str, Any] = {
            "fn": translate,
            "inputs": [picture, direction, step],
            "outputs": [picture, *outputs, said],
            "preprocess": False,
            "show_progress_on": outputs,
            "trigger_mode": "always_last",
            "concurrency_limit": AT_ONCE,
            "concurrency_id": "translate",
            "api_visibility": "private",
        }
        gr.on([picture.upload, picture.clear, direction.input, step.change], **translating)
        if examples:
            gallery = gr.Gallery(
                [x for _, x in examples],
                label="Or one of these, which training never saw",
                format="png",
                columns=EXAMPLES,
                elem_id="examples",
                allow_preview=False,
                object_fit="contain",
                buttons=[],
                interactive=False,
            )
            chosen = gallery.select(choose, None, [picture, direction], api_visibility="private")
            chosen.success(**translating)
        else:
            gr.Markdown("The pictures that training held out are not on this machine.")
        kinds = ", ".join(sorted(kind.lstrip(".").upper() for kind in EXTENSIONS))
        gr.Markdown(
            f"{kinds}; at most {MAX_UPLOAD >> 20} MB and {MAX_PIXELS // 10**6} megapixels. A "
            f"picture is cut to its largest centred square and scaled to {size}×{size} pixels, as "
            "in training. It is deleted after some minutes."
        )
        blocks.load(
            lambda: gr.Slider(**_range(shelf.steps())), None, step, api_visibility="private"
        )
    blocks.queue(max_size=MAX_WAITING, api_open=False)
    return blocks


def _range(steps: list[int]) -> dict[str, Any]:
    """A slider over steps: it halts at each of them, and maybe between."""
    if len(steps) < 2:
        return {"minimum": 0, "maximum": 1, "value": 1, "visible": False}
    apart = math.gcd(*(step - steps[0] for step in steps))
    return {
        "minimum": steps[0],
        "maximum": steps[-1],
        "step": apart,
        "value": steps[-1],
        "visible": True,
    }
