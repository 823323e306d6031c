"""Times and sizes in words, for people."""


def duration(seconds: float) -> str:
    """Returns a time in words: "40 seconds", "about 12 minutes", "about 21 hours", "about 3 days".

    Args:
      seconds: the time; 90 seconds and more are rounded to two digits.
    """
    for unit, size, least in (
        ("days", 86400, 48 * 3600),
        ("hours", 3600, 5400),
        ("minutes", 60, 90),
    ):
        if seconds >= least:
            return f"about {float(f'{seconds / size:.2g}'):,.10g} {unit}"
    return "1 second" if round(seconds) == 1 else f"{seconds:.0f} seconds"


def size(count: float) -> str:
    """Returns a number of bytes in words: "900 bytes", "1.2 MiB", "340 MiB", "12 GiB".

    Args:
      count: the number; from a KiB on it is rounded.
    """
    for unit, scale in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= scale:
            return f"{count / scale:,.{0 if count >= 9.95 * scale else 1}f} {unit}"
    return f"{count:.0f} bytes"
