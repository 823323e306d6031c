"""What a set of pictures turned out to hold, as it is recorded and as it is said in one line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from discogan_jax.images import Preparation, Size

MAX_NAMED = 5
"""Number of pictures that are named for each reason to leave some out."""


@dataclass
class Census:
    """Counts pictures while a set is decoded.

    Attributes:
      preparation: what was done to them, with the range of values that was found.
      values: description of that range.
      left_out: names of pictures that are not used, by reason.
      sizes: sizes of the pictures that are used, with the number of each.
      grey: number of the used pictures that have no colour.
      cut: sum over the used pictures of the share that the fit cuts off.
      mostly_cut: number of the used pictures that lose more than a third.
    """

    preparation: Preparation
    values: str = "8 bits"
    left_out: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[Size, int] = field(default_factory=dict)
    grey: int = 0
    cut: float = 0.0
    mostly_cut: int = 0

    def leave_out(self, name: str, reason: str) -> None:
        """Counts a picture that is not used."""
        self.left_out.setdefault(reason, []).append(name)

    def add(self, size: Size, *, grey: bool, cut: float = 0.0) -> None:
        """Counts a picture that is used.

        Args:
          size: size of the picture in its file.
          grey: whether it has no colour.
          cut: share of it that is cut off.
        """
        self.sizes[size] = self.sizes.get(size, 0) + 1
        self.grey += grey
        self.cut += cut
        self.mostly_cut += cut > 1 / 3

    def to_json(self) -> dict[str, Any]:
        """Returns what is recorded beside the arrays."""
        number = max(1, sum(self.sizes.values()))
        by_area = sorted(self.sizes, key=lambda size: (size.height * size.width, size))
        return {
            "preparation": self.preparation.to_json(),
            "values": self.values,
            "left_out": {
                reason: {"count": len(names), "names": names[:MAX_NAMED]}
                for reason, names in self.left_out.items()
            },
            "sizes": [str(size) for size in (by_area[:1] + by_area[-1:])],
            "grey": self.grey / number,
            "cut": self.cut / number,
            "mostly_cut": self.mostly_cut / number,
        }


def describe(about: Mapping[str, Any]) -> str:
    """Describes a set in one line: what is used, what is not, and what was done to it.

    Args:
      about: `cache.Splits.about`; what it lacks is left out of the line.
    """
    parts = [f"{about['train']:,} to train on, {about['val']:,} held out"]
    total = about["train"] + about["val"]
    # What is not used, or is used more than once.
    for reason, found in about.get("left_out", {}).items():
        more = ["..."] if found["count"] > len(found["names"]) else []
        names = ", ".join([*found["names"], *more])
        parts.append(f"{found['count']:,} left out, {reason} ({names})")
    if about.get("distinct", total) < total:
        parts.append(f"{about['distinct']:,} distinct")
    if about.get("blank"):
        parts.append(f"{about['blank']:,} of one colour")
    # Their shape and their values.
    if sizes := about.get("sizes"):
        parts.append(" to ".join(dict.fromkeys(sizes)) + " px")
    if cut := about.get("cut"):
        parts.append(f"{cut:.0%} cut off")
    if "values" in about:
        parts.append(about["values"])
    if "grey" in about:
        parts.append({0.0: "colour", 1.0: "grey"}.get(about["grey"], f"{about['grey']:.0%} grey"))
    return "; ".join(parts)
