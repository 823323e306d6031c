"""Tells a disk that takes no more from every other error."""

import errno
import os

from discogan_jax.errors import causes

_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def refusal(error: BaseException) -> str | None:
    """What the disk said, if an error or what it came from is of a disk that takes no more.

    Libraries in other languages tell it in their text alone.
    """
    for cause in causes(error):
        for number in _NUMBERS:
            said = os.strerror(number)
            if (isinstance(cause, OSError) and cause.errno == number) or said in str(cause):
                return said
    return None
