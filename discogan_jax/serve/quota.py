"""Shares what there is among visitors: so much for all, and a part of it for each."""

import ipaddress
from collections import Counter


def visitor(client: tuple[str, int] | None) -> bytes:
    """Returns what visitors are told apart by: an address, of IPv6 the half that is a network's.

    Args:
      client: address and port; None if they are not known.
    """
    return ipaddress.ip_address(client[0]).packed[:8] if client else b""


class Quota:
    """An amount of something that visitors take and give back."""

    def __init__(self, total: int, each: int) -> None:
        """Sets how much there is.

        Args:
          total: the most that all visitors have together.
          each: the most that one visitor has.
        """
        self._total = total
        self._each = each
        self._taken: Counter[bytes] = Counter()

    def take(self, who: bytes, amount: int = 1) -> bool:
        """Takes an amount if it is there.

        Args:
          who: a visitor.
          amount: the amount.

        Returns:
          Whether it is there.
        """
        there = self._taken.total() + amount <= self._total
        if there := there and self._taken[who] + amount <= self._each:
            self._taken[who] += amount
        return there

    def give_back(self, who: bytes, amount: int = 1) -> None:
        """Gives back what a visitor has taken."""
        self._taken[who] -= amount
        if not self._taken[who]:
            del self._taken[who]
