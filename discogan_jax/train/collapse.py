"""Detects mode collapse: translations to a domain that no longer differ from one another."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class CollapseDetector:
    """Watches the diversity of translations. A resumed run starts without measurements.

    Attributes:
      min_diversity: lowest healthy diversity, relative to that of real images. Healthy runs of the
        catalogue and of photographs stay above 0.6.
      patience: number of lower measurements in a row that count as a collapse: early outputs are
        grey, and one bad measurement is no collapse.
    """

    min_diversity: float = 0.3
    patience: int = 3
    _low: dict[str, int] = field(default_factory=dict)

    def update(self, diversity: Mapping[str, float]) -> list[str]:
        """Adds a measurement.

        Args:
          diversity: per domain, mean distance between translations over that of real images.

        Returns:
          The domains whose diversity has been too low for long enough.
        """
        self._low = {
            domain: self._low.get(domain, 0) + 1 if value < self.min_diversity else 0
            for domain, value in diversity.items()
        }
        return [domain for domain, count in self._low.items() if count >= self.patience]
