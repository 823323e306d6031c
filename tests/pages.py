"""Extracts and runs the Python code of the documentation."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def python(page: str) -> str:
    """Joins the code blocks of a page into one program, keeping line numbers."""
    program, inside = [], False
    for line in (ROOT / page).read_text().splitlines():
        fence = re.match(r"```(\w*)$", line)
        program.append(line if inside and not fence else "")
        if fence:
            inside = fence[1] == "python"
    return "\n".join(program)


def run(page: str) -> dict[str, object]:
    """Runs the code of a page in this process; returns the names that it defines."""
    code = python(page)
    assert code.strip(), f"{page} has no Python"
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(code, page, "exec"), names)
    return names
