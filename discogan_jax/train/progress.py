"""Shows how far a run is: a progress bar on a terminal, plain lines everywhere else."""

from collections.abc import Mapping
from typing import TextIO

from tqdm import tqdm

SHOWN = ("gen_loss", "disc_loss")


class Progress:
    """Shows speed, losses and the remaining time."""

    def __init__(self, start: int, stop: int, images_per_step: int, stream: TextIO | None):
        """Opens the bar.

        Args:
          start: number of finished steps.
          stop: number of the last step.
          images_per_step: number of real images of both domains that a step sees.
          stream: the output, or None to show nothing.
        """
        self._stop, self._images_per_step, self._stream = stop, images_per_step, stream
        off = stream is None or not stream.isatty()
        self._bar = tqdm(
            total=stop, initial=start, unit="step", file=stream, dynamic_ncols=True, disable=off
        )

    def advance(self) -> None:
        """Moves the bar by one step."""
        self._bar.update()

    def report(self, step: int, steps_per_second: float, metrics: Mapping[str, float]) -> None:
        """Shows metrics, beside the bar or as a line."""
        losses = {name: f"{metrics[name]:.3f}" for name in SHOWN if name in metrics}
        images = f"{steps_per_second * self._images_per_step:,.0f}"
        if not self._bar.disable:
            self._bar.set_postfix(losses | {"images/s": images})
            return
        left = tqdm.format_interval((self._stop - step) / steps_per_second)
        shown = "  ".join(f"{name} {value}" for name, value in losses.items())
        self.write(
            f"step {step:>{len(str(self._stop))}}/{self._stop}  {shown}  "
            f"{steps_per_second:.3g} steps/s  {images} images/s  {left} left"
        )

    def write(self, text: str) -> None:
        """Writes a line, above the bar if there is one."""
        if not self._bar.disable:
            self._bar.write(text, file=self._stream)
        elif self._stream is not None:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Closes the bar and leaves it visible."""
        self._bar.close()
