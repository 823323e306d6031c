"""Writes the committed results into the pages: tables, and numbers in sentences.

    python -m benchmarks.render

`pages` declares what comes from the results. A table stands between ``<!-- table: NAME -->`` and
``<!-- end of table -->``; a sentence is found by its words, and only its numbers are replaced.
"""

import json
import re
import string
from pathlib import Path
from typing import Any

from benchmarks import pages, report
from discogan_jax.files import replacing

ROOT = Path(__file__).parent.parent
TABLE = re.compile(r"(<!-- table: (.+?) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)
NUMBER = r"(-?\d(?:[\d.,]*\d)?%?)"


def load(folder: Path = report.RESULTS) -> dict[str, Any]:
    """Reads the results, by benchmark; those of a GPU are called ``BENCHMARK on GPU``."""
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*.json")):
        one = json.loads(path.read_text())
        gpu = one["machine"].get("gpu")
        name = one["benchmark"] + (f" on {gpu}" if gpu else "")
        if name in found:
            raise SystemExit(f"{folder} has {name} of two machines: keep the one for the pages.")
        found[name] = one
    return found


def pattern(sentence: str) -> re.Pattern[str]:
    """Returns what finds a sentence in a page, however its lines are broken; groups are numbers."""
    parts = []
    for words, _, form, _ in string.Formatter().parse(sentence):
        parts.append(re.sub(r"(\\?\s)+", r"\\s+", re.escape(words)))
        parts.append("" if form is None else NUMBER)
    return re.compile("".join(parts))


def rendered(page: str, text: str, found: pages.Reports) -> str:
    """Returns the text of a page with the tables and numbers that the results give.

    Args:
      page: its path from the root of the repository.
      text: the present text.
      found: the results, from `load`.

    Raises:
      KeyError: a table is not declared, or its results are missing.
      ValueError: the page does not have a declared sentence exactly once.
    """
    text = TABLE.sub(lambda m: f"{m[1]}\n{pages.TABLES[m[2]](found)}\n\n{m[4]}", text)
    for sentence, numbers in pages.SENTENCES.get(page, {}).items():
        matches = list(pattern(sentence).finditer(text))
        if len(matches) != 1:
            raise ValueError(f"{page} has this {len(matches)} times instead of once: {sentence}")
        forms = [form for _, _, form, _ in string.Formatter().parse(sentence) if form is not None]
        written = [format(x, form) for x, form in zip(numbers(found), forms, strict=True)]
        for i, number in reversed(list(enumerate(written, 1))):
            text = text[: matches[0].start(i)] + number + text[matches[0].end(i) :]
    return text


def main() -> None:
    """The command."""
    found = load()
    for page in pages.PAGES:
        path = ROOT / page
        text = path.read_text()
        new = rendered(page, text, found)
        if new != text:
            with replacing(path) as temporary:
                temporary.write_text(new)
            print(path)


if __name__ == "__main__":
    main()
