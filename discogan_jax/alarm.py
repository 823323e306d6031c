"""The collapse alarm: says when translations have stopped to differ from each other."""

from collections.abc import Mapping

LEAST_DIVERSITY = 0.3
"""Of real images' diversity. Healthy runs of the catalogue and of photographs stay above 0.6."""

PATIENCE = 3
"""Measurements in a row: at the start outputs are grey, and a bad moment is no collapse."""


class CollapseAlarm:
    """Counts how often in a row translations to a domain differed too little.

    The count starts anew when a run is resumed.
    """

    def __init__(self, least: float = LEAST_DIVERSITY, patience: int = PATIENCE):
        """Sets the alarm.

        Args:
          least: diversity, relative to that of real images of the domain, that is enough.
          patience: so many measurements below it in a row raise the alarm.
        """
        self._least, self._patience = least, patience
        self._low: dict[str, int] = {}

    def hear(self, diversity: Mapping[str, float]) -> list[str]:
        """Takes a measurement.

        Args:
          diversity: per domain, mean distance between translations over that of real images.

        Returns:
          The domains for which the alarm is raised: those that have been low for long enough.
        """
        self._low = {
            domain: self._low.get(domain, 0) + 1 if value < self._least else 0
            for domain, value in diversity.items()
        }
        return [domain for domain, count in self._low.items() if count >= self._patience]
