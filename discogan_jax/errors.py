"""The one exception that means: the user can mend this."""


class InputError(ValueError):
    """What the user gave (a file, a config field, a flag) cannot be used.

    The message is one or two sentences that name the thing, say what was found and what to do.
    Command-line entry points print it without a traceback and exit with status 2.
    """
