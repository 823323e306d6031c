"""Attacks on the program: hostile inputs and odd places, one function each, in modules by subject.

`test_attacks.py` tries the quick ones once; `soak.py` tries all, as often as each of them says. To
add one, write a function with the decorator `attack` in a module of this folder:

    @attack("pictures that are no regular files", tries=3)
    def fifo(folder, rng):
        os.mkfifo(folder / "x.png")
        refused("translate", run(), folder / "x.png", "--out", folder, named="x.png")
"""

import atexit
import contextlib
import functools
import importlib
import io
import pkgutil
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import conftest  # noqa: F401  (the settings of the tests, first)
import runs_here

from discogan_jax import cli

_found = []


@dataclass(frozen=True)
class Attack:
    """An attack.

    Attributes:
      family: the kind of attack, a row in the table of `soak`.
      name: the name of the function.
      attempt: a function of an empty folder and a random generator; raises an error if the
        program did something wrong.
      tries: how often `soak` tries it, each time with another seed.
      quick: whether the suite tries it, once; a family has one such attack at least.
    """

    family: str
    name: str
    attempt: Callable
    tries: int
    quick: bool


def attack(family, *, tries=1, quick=False):
    """Registers a function as an attack, see `Attack`."""

    def register(function):
        _found.append(Attack(family, function.__name__, function, tries, quick))
        return function

    return register


def all_attacks():
    """Returns the attacks of all modules."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return _found


def discogan(*words):
    """Runs `discogan` in this process.

    Returns:
      The exit code, standard output and standard error; there is no traceback and no bug in it.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(word) for word in words])
    assert "Traceback" not in err.getvalue(), err.getvalue()
    assert "This is a bug" not in err.getvalue(), err.getvalue()
    return code, out.getvalue(), err.getvalue()


def refused(*words, named="", code=2):
    """Runs `discogan`, which must end with a code and one line that holds a name."""
    found, _, err = discogan(*words)
    assert found == code, err
    assert err.count("\n") == 1, err
    assert str(named) in err, err
    return err


@functools.cache
def made():
    """Creates a folder for what several attacks need; it is removed at the end of the process."""
    folder = Path(tempfile.mkdtemp(prefix="attacks-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def run():
    """Creates a run of random parameters, with checkpoints 1 and 2; copy it to change it."""
    data = runs_here.write_arrays(made() / "data")
    workdir = made() / "run"
    runs_here.untrained(runs_here.config(data), workdir, steps=(1, 2))
    return workdir
