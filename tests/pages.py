"""The Python of the documentation, to be run as it stands."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def python(page: str) -> str:
    """The blocks of a page, in their order, as one program; lines keep their numbers."""
    program, inside = [], False
    for line in (ROOT / page).read_text().splitlines():
        fence = re.match(r"```(\w*)$", line)
        program.append(line if inside and not fence else "")
        if fence:
            inside = fence[1] == "python"
    return "\n".join(program)


def run(page: str) -> dict[str, object]:
    """Runs them here; returns the names that they define."""
    code = python(page)
    assert code.strip(), f"{page} has no Python"
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(code, page, "exec"), names)
    return names
