"""Pipes, devices and folders where a file is read."""

import os

from attacks import attack, refused, run


@attack("a pipe where a file is read", quick=True)
def picture(folder, rng):
    os.mkfifo(folder / "x.png")
    words = "translate", run(), folder / "x.png", "--to=shoes", f"--out={folder / 'out'}"
    refused(*words, code=1, named="x.png is a pipe or a device")
