"""Shows how far a run is: a progress bar on a terminal, plain lines everywhere else."""

from collections.abc import Mapping
from typing import TextIO

from tqdm import tqdm

from discogan_jax import units

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
        # tqdm's own estimate would count the time that compiling takes as that of steps.
        self._bar = tqdm(
            total=stop,
            initial=start,
            file=stream,
            dynamic_ncols=True,
            disable=off,
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]",
        )
        self._left = self._shown = ""

    def advance(self, left: float | None) -> None:
        """Moves the bar by one step.

        Args:
          left: seconds that the rest of the run takes, if that is known.
        """
        self._left = f"{units.duration(left)} left" if left else ""
        parts = filter(None, [self._left, self._shown])
        self._bar.set_postfix_str("  ".join(parts), refresh=False)
        self._bar.update()

    def report(self, step: int, speed: float | None, metrics: Mapping[str, float]) -> None:
        """Shows metrics, beside the bar or as a line.

        Args:
          step: the step that they are of.
          speed: steps a second, if that is known.
          metrics: the metrics by name.
        """
        parts = [f"{name} {metrics[name]:.3f}" for name in SHOWN if name in metrics]
        if speed is not None:
            parts += [f"{speed:.3g} steps/s", f"{speed * self._images_per_step:,.0f} images/s"]
        self._shown = "  ".join(parts)
        if self._bar.disable:
            number = f"step {step:>{len(str(self._stop))}}/{self._stop}"
            self.write("  ".join(filter(None, [number, self._shown, self._left])))

    def write(self, text: str) -> None:
        """Writes a line, above the bar if there is one."""
        if not self._bar.disable:
            self._bar.write(text, file=self._stream)
        elif self._stream is not None:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Closes the bar and leaves it visible."""
        self._bar.close()
