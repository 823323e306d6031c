"""Files that are at all times either the old one or the new one, never a part."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lets a file appear complete or not at all.

    Args:
      path: the file; one that is there is replaced.

    Yields:
      A hidden name beside it to write to; renamed once the body has ended without an error.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
