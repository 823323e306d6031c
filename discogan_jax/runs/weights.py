"""Trained weights as the start of a new run: read, and fitted to its networks layer by layer.

A layer is taken whole, with its normalization, or not at all: it fits if the trained networks have
a layer of the same name and shapes, by which `models` tells all kinds of layers apart. Those on the
way up are matched by their distance from the output, since `models.Generator` counts them from the
bottleneck, and larger images have more. A fully connected layer belongs to one size of images.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from discogan_jax.config import build
from discogan_jax.config.schema import Settings
from discogan_jax.errors import InputError
from discogan_jax.files import expanded
from discogan_jax.runs import layout, official, run
from discogan_jax.state import Player, TrainState

_SIDES = {"gen": "generator", "dis": "discriminator"}
_UP = re.compile(r"up_(\d+)")

# Network, modules and name of an array; after alignment, as the trained networks have it.
_Path = tuple[str, ...]
# By layer, the shapes of its arrays.
_Layers = dict[str, dict[_Path, tuple[int, ...]]]


@dataclass(frozen=True)
class Weights:
    """The arrays of trained networks, in the memory of the host.

    Attributes:
      origin: the place that they were read from, as it was named.
      step: step of the checkpoint; None for weights that are not of a run.
      image_shape: height, width and channels of the images that they were trained on.
      state: the arrays; there may be no averages and no states of optimizers.
    """

    origin: str
    step: int | None
    image_shape: tuple[int, int, int]
    state: TrainState

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
      place: a run directory or one of its checkpoints, which ``:STEP`` or ``:best`` may follow, or
        a folder of weights of the official PyTorch code, see `official`.

    Raises:
      InputError: there are no such weights, or they are damaged.
    """
    path, step = _split(str(place))
    if not path.exists():
        raise InputError(f"there is no folder {path}")
    if official.is_there(path):
        return Weights(str(place), None, *official.read(path))
    opened = run.open(path, step)
    state = jax.device_get(opened.state)
    shape = build.image_shape(opened.settings)
    return Weights(str(place), opened.step, shape, state)


def _split(place: str) -> tuple[Path, Any]:
    """Splits ``RUN:STEP``; a path that exists is taken as it is."""
    path, colon, step = place.rpartition(":")
    if expanded(place).exists() or not colon or not expanded(path).exists():
        return expanded(place), None
    if step != "best" and not step.isdecimal():
        raise InputError(f"a step or 'best' must follow the colon, not {step!r}")
    return expanded(path), int(step) if step.isdecimal() else step


@dataclass(frozen=True)
class Fit:
    """The layers of a new state that are taken from trained weights; made by `fit`.

    Attributes:
      weights: the trained weights.
      taken: by side, ``gen`` or ``dis``, the names of these layers.
      shifts: by side, what is added to ``i`` in ``up_i`` to get the trained layer's name.
      drawn: the other layers, such as ``generator up_0``, whose arrays stay as they were drawn.
      count: number of parameters and statistics that are taken, in arrays.
      optimizers: whether the optimizers' states are taken, too.
    """

    weights: Weights
    taken: Mapping[str, frozenset[str]]
    shifts: Mapping[str, int]
    drawn: tuple[str, ...]
    count: int
    optimizers: bool

    @cached_property
    def record(self) -> dict[str, Any]:
        """What `changes.describe` takes as ``init``."""
        return {
            "from": self.weights.origin,
            "step": self.weights.step,
            "digest": self.weights.digest,
            "taken": self.count,
            "drawn": list(self.drawn),
            "optimizers": self.optimizers,
        }

    def apply(self, state: TrainState) -> TrainState:
        """Returns a new state with the arrays that are taken, on the devices of the drawn ones."""
        trained = self.weights.state
        gen, dis = (self._player(side, getattr(state, side)) for side in _SIDES)
        averages = trained.gen.params if trained.ema is None else trained.ema
        ema = None if state.ema is None else self._merged("gen", state.ema, averages)
        merged = replace(state, gen=gen, dis=dis, ema=ema)
        placement = jax.tree.map(lambda x: x.sharding, state)
        # Copied: the step donates its state, and no two of its arrays may share memory.
        return jax.jit(_copied, out_shardings=placement)(merged)

    def _player(self, side: str, new: Player) -> Player:
        trained = getattr(self.weights.state, side)
        params = self._merged(side, new.params, trained.params)
        stats = self._merged(side, new.batch_stats, trained.batch_stats)
        opt_state = new.opt_state
        if self.optimizers:
            leaves = jax.tree.leaves(trained.opt_state)
            opt_state = jax.tree.unflatten(jax.tree.structure(new.opt_state), leaves)
        return Player(params=params, batch_stats=stats, opt_state=opt_state)

    def _merged(self, side: str, new: Any, trained: Any) -> Any:
        there, taken, shift = _flat(trained), self.taken[side], self.shifts[side]

        def choose(keys: Any, x: Any) -> Any:
            path = tuple(key.key for key in keys)
            return there[_aligned(path, shift)] if _layer(path) in taken else x

        return jax.tree.map_with_path(choose, new)


def _copied(tree: Any) -> Any:
    return jax.tree.map(jnp.copy, tree)


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
    """Finds the layers of a new state that can be taken from trained weights.

    Args:
      weights: the trained weights.
      state: the new state, or its shapes.
      image_shape: height, width and channels of the images that its networks will see.
      optimizers: whether to take the states of the optimizers, too.

    Raises:
      InputError: no layer fits; or the optimizers' states are wanted and do not fit.
    """
    taken, shifts, drawn, count = {}, {}, [], 0
    for side, word in _SIDES.items():
        here = _layers(getattr(state, side), image_shape)
        there = _layers(getattr(weights.state, side), weights.image_shape)
        shift = shifts[side] = _ups(there) - _ups(here)
        fitting = {
            layer: arrays
            for layer, arrays in here.items()
            if {_aligned(path, shift): x for path, x in arrays.items()}
            == there.get(*_aligned((layer,), shift))
        }
        taken[side] = frozenset(fitting)
        drawn += [f"{word} {layer}" for layer in here if layer not in fitting]
        count += sum(map(len, fitting.values()))
    if not count:
        first, other = (next(iter(_flat(x.gen.params).items())) for x in (state, weights.state))
        raise InputError(
            f"no layer fits: the networks of this config begin with {_shown(*first)}, those there "
            f"with {_shown(*other)}; use their model.recipe, model.width and data.channels"
        )
    if optimizers:
        _check_optimizers(state, weights.state, drawn)
    return Fit(weights, taken, shifts, tuple(drawn), count, optimizers)


def _check_optimizers(new: TrainState, trained: TrainState, drawn: list[str]) -> None:
    """Checks that the optimizers' states are of the same networks.

    Adam counts the updates of all layers together, so it cannot begin with some of them.
    """
    shapes = [[np.shape(x) for x in _moments(state)] for state in (new, trained)]
    if drawn or shapes[0] != shapes[1]:
        why = f"{drawn[0]} is drawn anew" if drawn else "there are none of these networks"
        raise InputError(
            f"the optimizers' states fit only if all layers do, and {why}: leave out "
            "--init_optimizers"
        )


def _moments(state: TrainState) -> list[Any]:
    return jax.tree.leaves([state.gen.opt_state, state.dis.opt_state])


def _layers(player: Player, image_shape: tuple[int, int, int]) -> _Layers:
    """Groups the arrays of a side by layer."""
    layers = _Layers()
    for collection in ("params", "batch_stats"):
        for path, x in _flat(getattr(player, collection)).items():
            # What is fully connected may see as many numbers of an image of another form.
            form = image_shape[:2] if len(x.shape) == 2 else ()
            layers.setdefault(_layer(path), {})[(collection, *path)] = (*x.shape, *form)
    return layers


def _flat(tree: Any) -> dict[_Path, Any]:
    return {tuple(k.key for k in keys): x for keys, x in jax.tree.leaves_with_path(tree)}


def _layer(path: _Path) -> str:
    """Names the layer of an array; a normalization belongs to the layer before it."""
    return "/".join(path[1:-1]).removesuffix("_norm")


def _ups(layers: _Layers) -> int:
    return sum(_UP.fullmatch(layer) is not None for layer in layers)


def _aligned(path: _Path, shift: int) -> _Path:
    return tuple(_UP.sub(lambda match: f"up_{int(match[1]) + shift}", part) for part in path)


def _shown(path: _Path, x: Any) -> str:
    return f"{'/'.join(path[1:])} of shape {list(x.shape)}"


def public_name(place: str) -> str:
    """Names a place of weights without the folders that it is in."""
    path = Path(place)
    if path.parent.name == layout.CHECKPOINTS:
        return f"{path.parents[1].name}:{path.name}"
    return path.name or "a run"
