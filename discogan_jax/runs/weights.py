"""Trained weights as the start of a new run: read, and fitted to its networks layer by layer.

A layer is taken whole, with its normalization, or not at all: it fits if the trained networks have
a layer of the same name and shapes, by which `models` tells all kinds of layers apart. Those on the
way up are matched by their distance from the output, since `models.Generator` counts them from the
bottleneck, and larger images have more. A fully connected layer belongs to one size of images.
"""

import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from discogan_jax.config import build
from discogan_jax.config.schema import Settings
from discogan_jax.errors import InputError
from discogan_jax.files import expanded
from discogan_jax.runs import changes, demo, layout, official, run
from discogan_jax.runs.best import Step
from discogan_jax.state import Domains, TrainState

_SIDES = {"gen": "generator", "dis": "discriminator"}
_UP = re.compile(r"(?<=/up_)\d+")

# The arrays of a state, or their shapes, by a name such as "gen/params/ab/down_0/kernel".
_Arrays = dict[str, Any]


@dataclass(frozen=True)
class Weights:
    """The arrays of trained networks, in the memory of the host.

    Attributes:
      origin: the place that they were read from, as it was named.
      step: step of the checkpoint; None for weights that are not of a run.
      image_shape: height, width and channels of the images that they were trained on.
      state: the arrays; there may be no averages and no states of optimizers.
      domains: names of the domains, if they are known.
    """

    origin: str
    step: int | None
    image_shape: tuple[int, int, int]
    state: TrainState
    domains: Domains | None = None

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that tell weights apart, wherever they lie."""
        s, found = self.state, hashlib.sha256()
        networks = [s.gen.params, s.gen.batch_stats, s.dis.params, s.dis.batch_stats, s.ema]
        for path, x in jax.tree.leaves_with_path(networks):
            found.update(jax.tree_util.keystr(path).encode() + np.asarray(x).tobytes())
        return found.hexdigest()[:12]


def read(place: str | Path) -> Weights:
    """Reads trained weights.

    Args:
      place: a run directory or one of its checkpoints, which ``:STEP`` or ``:best`` may follow,
        ``demo``, or a folder of weights of the official PyTorch code, see `official`.

    Raises:
      InputError: there are no such weights, or they are damaged.
    """
    path, step = _split(str(place))
    path = demo.located(path)
    if not path.exists():
        raise InputError(f"there is no folder {path}")
    if not (path / layout.CONFIG_FILE).exists() and official.is_there(path):
        if step is not None:
            raise InputError(
                f"{path} has weights of PyTorch, which have no steps: leave out :{step}"
            )
        return Weights(str(place), None, *official.read(path))
    opened = run.open(path, step)
    state = jax.device_get(opened.state)
    shape = build.image_shape(opened.settings)
    return Weights(str(place), opened.step, shape, state, opened.domains)


def _split(place: str) -> tuple[Path, Step]:
    """Splits ``RUN:STEP``; a path that exists is taken as it is."""
    path, colon, step = place.rpartition(":")
    if expanded(place).exists() or not colon or not demo.located(expanded(path)).exists():
        return expanded(place), None
    if step == "best":
        return expanded(path), "best"
    if not step.isdecimal():
        raise InputError(f"a step or 'best' must follow the colon, not {step!r}")
    return expanded(path), int(step)


@dataclass(frozen=True)
class Fit:
    """What a new state takes over from trained weights; made by `fit`.

    Attributes:
      arrays: the arrays that are taken, by their names in the new state.
      drawn: the layers that do not fit, such as ``generator up_0``: they stay as they were drawn.
      record: what `changes.describe` takes as ``init``.
    """

    arrays: Mapping[str, Any]
    drawn: tuple[str, ...]
    record: Mapping[str, Any]

    def apply(self, state: TrainState) -> TrainState:
        """Returns a new state with the arrays that are taken, on the devices of the drawn ones."""
        merged = jax.tree.map_with_path(lambda keys, x: self.arrays.get(_name(keys), x), state)
        placement = jax.tree.map(lambda x: x.sharding, state)
        # Copied: the step donates its state, and no two of its arrays may share memory.
        return jax.jit(_copied, out_shardings=placement)(merged)


def _copied(state: TrainState) -> TrainState:
    return jax.tree.map(jnp.copy, state)


def named_as_before(s: Settings, directory: Path) -> Settings:
    """Returns settings with the name that the start of a run had, if it only has another one now.

    Args:
      s: settings that the run may go on with.
      directory: the run directory; it need not exist.
    """
    named = s.train.init_from
    if named is None or not directory.is_dir():
        return s
    start = next((x["init"] for x in changes.read(directory) if "init" in x), None)
    if start and named != start["from"]:
        with contextlib.suppress(InputError):  # which then is another start
            if read(named).digest == start["digest"]:
                return replace(s, train=replace(s.train, init_from=start["from"]))
    return s


def of_settings(s: Settings) -> Fit | None:
    """Reads the weights that a new run starts from; None if it draws its own.

    Raises:
      InputError: there are no such weights, or nothing of them fits.
    """
    if s.train.init_from is None:
        return None
    shapes = build.state_shapes(s, build.gan(s))
    try:
        weights = read(s.train.init_from)
        if weights.domains == s.domains[::-1]:
            raise InputError(
                f"its a is {weights.domains.a} and its b {weights.domains.b}, here it is the other "
                "way round: exchange the sources of a and b"
            )
        return fit(weights, shapes, build.image_shape(s), optimizers=s.train.init_optimizers)
    except InputError as error:
        raise InputError(f"config.train.init_from={s.train.init_from}: {error}") from error


def fit(
    weights: Weights,
    state: TrainState,
    image_shape: tuple[int, int, int],
    *,
    optimizers: bool = False,
) -> Fit:
    """Finds what a new state can take over from trained weights.

    Args:
      weights: the trained weights.
      state: the new state, or its shapes.
      image_shape: height, width and channels of the images that its networks will see.
      optimizers: whether to take the states of the optimizers, too.

    Raises:
      InputError: no layer fits; or the optimizers' states are wanted and do not fit.
    """
    here, there = _flat(state), _flat(weights.state)
    more = _ups(here) - _ups(there)
    there = {_UP.sub(lambda i: str(int(i[0]) + more), name): x for name, x in there.items()}
    trained = _layers(there, weights.image_shape)
    taken, drawn = _Arrays(), []
    for layer, shapes in _layers(here, image_shape).items():
        if trained.get(layer) == shapes:
            taken |= {name: there[name] for name in shapes}
        else:
            drawn.append(layer)
    if not taken:
        raise InputError(
            f"no layer fits: the networks of this config begin with {_first(here)}, those there "
            f"with {_first(there)}; use their model.recipe, model.width and data.channels"
        )
    record = {
        "from": weights.origin,
        "step": weights.step,
        "digest": weights.digest,
        "taken": len(taken),
        "drawn": drawn,
        "optimizers": optimizers,
    }
    # Averages come from averages, or from what would have been averaged.
    for own, average in (("gen/params/", "ema/"), ("gen/batch_stats/", "ema_stats/")):
        averages = {name: name.replace(own, average) for name in taken if name.startswith(own)}
        taken |= {name: there.get(name, taken[of]) for of, name in averages.items()}
    if optimizers:
        taken |= _optimizers(here, there, drawn)
    return Fit(taken, tuple(drawn), record)


def _optimizers(here: _Arrays, there: _Arrays, drawn: list[str]) -> _Arrays:
    """Returns the trained states of the optimizers, by their names in the new state.

    Adam counts the updates of all layers together, so it cannot begin with some of them.
    """
    new, old = ({n: x for n, x in of.items() if "/opt_state/" in n} for of in (here, there))
    if drawn or [np.shape(x) for x in new.values()] != [np.shape(x) for x in old.values()]:
        why = f"{drawn[0]} is drawn anew" if drawn else "there are none of these networks"
        raise InputError(
            f"the optimizers' states fit only if all layers do, and {why}: leave out "
            "--init_optimizers"
        )
    # With an L2 penalty the same arrays have other names.
    return dict(zip(new, old.values(), strict=True))


def _flat(state: TrainState) -> _Arrays:
    return {_name(keys): x for keys, x in jax.tree.leaves_with_path(state)}


def _name(keys: Any) -> str:
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def _ups(arrays: _Arrays) -> int:
    """Counts the layers on the way up."""
    return len({i for name in arrays for i in _UP.findall(name)})


def _layers(
    arrays: _Arrays, image_shape: tuple[int, int, int]
) -> dict[str, dict[str, tuple[int, ...]]]:
    """Groups the networks' arrays by layer, a normalization with the layer before it.

    Returns:
      By layer, the shapes of its arrays by name.
    """
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, x in arrays.items():
        match name.split("/"):
            case [side, "params" | "batch_stats", _, *modules, _]:
                layer = f"{_SIDES[side]} {'/'.join(modules).removesuffix('_norm')}"
                # What is fully connected may see as many numbers of an image of another form.
                form = image_shape[:2] if len(x.shape) == 2 else ()
                layers.setdefault(layer, {})[name] = (*x.shape, *form)
    return layers


def _first(arrays: _Arrays) -> str:
    name = next(name for name in arrays if name.startswith("gen/params/"))
    return f"{name} of shape {list(arrays[name].shape)}"


def public_name(place: str) -> str:
    """Names a place of weights without the folders that it is in."""
    path = Path(place)
    if path.parent.name == layout.CHECKPOINTS:
        return f"{path.parents[1].name}:{path.name}"
    return path.name or "a run"
