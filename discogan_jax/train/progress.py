"""How a run shows how far it is: a bar on a terminal, plain lines everywhere else."""

import sys
from collections.abc import Mapping
from typing import TextIO

from tqdm import tqdm

SHOWN = ("gen_loss", "disc_loss")


class Progress:
    """Shows speed, losses and the time that is left."""

    def __init__(self, start: int, stop: int, images_per_step: int, stream: TextIO | None = None):
        """Begins to show.

        Args:
          start: finished steps.
          stop: the last step.
          images_per_step: real images of both domains that a step sees.
          stream: where to; standard error if None.
        """
        self._stream = stream or sys.stderr
        self._stop = stop
        self._images = images_per_step
        self._bar = None
        if self._stream.isatty():
            self._bar = tqdm(
                total=stop, initial=start, unit="step", file=self._stream, dynamic_ncols=True
            )

    def advance(self, steps: int) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update(steps)

    def report(self, step: int, steps_per_second: float, metrics: Mapping[str, float]) -> None:
        """Shows numbers: beside the bar, or as a line."""
        losses = {name: f"{metrics[name]:.3f}" for name in SHOWN if name in metrics}
        images = f"{steps_per_second * self._images:,.0f}"
        if self._bar is not None:
            self._bar.set_postfix(losses | {"images/s": images})
            return
        left = tqdm.format_interval((self._stop - step) / steps_per_second)
        shown = "  ".join(f"{name} {value}" for name, value in losses.items())
        self.say(
            f"step {step:>{len(str(self._stop))}}/{self._stop}  {shown}  "
            f"{steps_per_second:.3g} steps/s  {images} images/s  {left} left"
        )

    def say(self, text: str) -> None:
        """Writes a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.close()
