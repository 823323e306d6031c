"""What the libraries say that is no news to someone at a terminal."""

import os


def be_quiet() -> None:
    """Leaves TensorFlow's and Orbax's errors alone on the screen; call it before either loads."""
    import logging  # late, since --help loads this module

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells how it reads
