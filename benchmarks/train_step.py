"""Times training updates: this library, the same with Flax's own layers, and PyTorch.

    python -m benchmarks.train_step --recipe official --batch 32 --size 64 --budget 360

The cases are one update of the discriminators, one of the generators, and a cycle (one and two),
each from uint8 images on the device to updated parameters, without logging, reading images or
copying anything to the host. Each implementation trains its own state throughout the measurement;
the images are noise, three batches of each domain. On a GPU both libraries multiply float32 with
their default for convolutions (TF32), and cuDNN searches for the fastest algorithm.

The implementations: `jax` is the library; `flax` the same with Flax's own convolutions; `torch
published` the authors' loop, eager (see `torch_updates`); `torch tuned` the same without redundant
work, eager; `torch compiled` is the same with ``torch.compile``; on a GPU also bfloat16. GFLOP/s
are computed from the count in `flops` for all implementations, regardless of the operations that
they actually perform; the JSON also contains the compiled programs' own counts.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from benchmarks import flops, layers, machine, report
from benchmarks.harness import Case, Implementation
from discogan_jax import models, steps
from discogan_jax.config import build
from discogan_jax.config.schema import from_config
from discogan_jax.configs import best, default, official
from discogan_jax.host import keep_freed_memory
from discogan_jax.images import Size
from discogan_jax.state import DiscoGAN, create_state

WORKS = ("D update", "G update", "cycle")
Calls = dict[str, Callable[[], Any]]
CONFIGS = {"official": official, "book": default, "best": best}


def library(
    recipe: str, size: models.ImageSize, width: int | None = None, dtype: Any = jnp.float32
) -> DiscoGAN:
    """Returns this library's implementation of a recipe; losses and optimizers are its config's."""
    gan = build.gan(from_config(CONFIGS[recipe].get_config()))
    fields = {"dtype": dtype} if width is None else {"dtype": dtype, "width": width}
    generator, discriminator = (make(image_size=size, **fields) for make in models.RECIPES[recipe])
    return replace(gan, generator=generator, discriminator=discriminator)


@contextmanager
def flax_layers() -> Iterator[None]:
    """Makes networks that are traced inside use Flax's convolutions instead of the library's.

    `steps` caches the trace of a network, and modules with other layers compare equal to it;
    therefore the cache is cleared on entry and on exit.
    """

    def conv_transpose(stride: int = 2, **fields: Any) -> nn.Module:
        fields = {"kernel_size": models.KERNEL} | fields
        return nn.ConvTranspose(strides=(stride, stride), transpose_kernel=True, **fields)

    jax.clear_caches()
    try:
        with mock.patch.multiple(
            models, Conv=nn.Conv, ConvTranspose=conv_transpose, ResizeConv=ResizedConv
        ):
            yield
    finally:
        jax.clear_caches()


class ResizedConv(nn.Module):
    """Computes what `ResizeConv` does, in two steps: copies pixels, then convolves.

    Attributes:
      features: output channels.
      use_bias: adds a bias per output channel.
      kernel_init: initial weights.
      dtype: type of the computation.
    """

    features: int
    use_bias: bool = True
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Up-samples feature maps."""
        x = x.repeat(2, 1).repeat(2, 2)
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features))
        y = layers.plain_conv(x.astype(self.dtype), kernel.astype(self.dtype), 1, "SAME")
        if self.use_bias:
            y += self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return y


def jax_calls(
    gan: DiscoGAN, images: dict[str, np.ndarray], only: Sequence[str] = WORKS
) -> tuple[Calls, dict[str, float]]:
    """Compiles the updates of this library.

    Args:
      gan: the networks and optimizers to train.
      images: uint8 images, ``[3, B, H, W, C]`` per domain.
      only: names of the requested cases.

    Returns:
      By case, the calls, whose results are to be waited for, and XLA's own count of their
      operations.
    """
    batches = jax.tree.map(jnp.asarray, images)
    each = [jax.tree.map(lambda x, i=i: x[i], batches) for i in range(gan.updates)]
    given = {"D update": each[0], "G update": each[1], "cycle": batches}
    # New functions for each call: jit's cache must not return programs compiled with other layers.
    functions = {
        "D update": lambda state, batch: steps.d_step(gan, state, batch),
        "G update": lambda state, batch: steps.g_step(gan, state, batch),
        "cycle": lambda state, batch: steps.train_step(gan, state, batch),
    }
    held = {"state": create_state(jax.random.key(0), gan, each[0]["a"].shape[1:])}
    calls: Calls = {}
    counts = {}
    for work in only:
        jitted = jax.jit(functions[work], donate_argnums=0)
        compiled = jitted.lower(held["state"], given[work]).compile()
        counts[work] = (compiled.cost_analysis() or {}).get("flops", 0.0)

        def call(compiled: Any = compiled, batch: Any = given[work]) -> Any:
            held["state"], metrics = compiled(held["state"], batch)
            return held["state"], metrics

        calls[work] = call
    return calls, counts


def torch_calls(
    kind: str, recipe: str, images: dict[str, np.ndarray], device: str, **fields: Any
) -> Calls:
    """Builds a PyTorch implementation and runs each update once, so that failures occur here.

    Args:
      kind: ``"Published"`` or ``"Tuned"``.
      recipe: ``"official"``, ``"book"`` or ``"best"``.
      images: uint8 images, as for `jax_calls`.
      device: PyTorch's name of the device.
      **fields: arguments of the class, and ``width`` of the networks.
    """
    import torch

    from benchmarks import torch_networks, torch_updates

    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(0)
    *_, height, width, channels = images["a"].shape
    size = height, width
    nets = torch_networks.networks(recipe, size, fields.pop("width", None), channels)
    trainer = getattr(torch_updates, kind)(nets, library(recipe, size), device, **fields)
    each = [
        {
            d: torch.from_numpy(x[i]).to(device).permute(0, 3, 1, 2)  # channels last in memory
            for d, x in images.items()
        }
        for i in range(3)
    ]
    calls: Calls = {
        "D update": lambda: trainer.d_update(each[0]),
        "G update": lambda: trainer.g_update(each[1]),
        "cycle": lambda: trainer.cycle(each),
    }
    for call in calls.values():
        call()
    return calls


def torch_kinds(device: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns class and arguments of the PyTorch implementations."""
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "torch published": ("Published", {}),
        "torch tuned": ("Tuned", {}),
        "torch compiled": ("Tuned", {"mode": "default"}),
    }
    if device == "cuda":
        for mode in ("reduce-overhead", "max-autotune"):
            kinds[f"torch compiled, {mode}"] = ("Tuned", {"mode": mode})
            kinds[f"torch compiled, {mode}, bfloat16"] = ("Tuned", {"mode": mode, "bf16": True})
        kinds["torch tuned, bfloat16"] = ("Tuned", {"bf16": True})
    return kinds


def works(
    recipe: str,
    batch: int,
    size: models.ImageSize,
    width: int | None = None,
    sides: Sequence[str] | None = None,
    only: Sequence[str] = WORKS,
    channels: int = 3,
) -> tuple[list[Case], dict[str, str]]:
    """Builds and compiles all implementations.

    Args:
      recipe: ``"official"``, ``"book"`` or ``"best"``.
      batch: images of each domain in an update.
      size: the side of a square image, or height and width, in pixels.
      width: channels of the first level; the recipe's if None.
      sides: names of the requested implementations; None for all.
      only: names of the requested cases.
      channels: of the images.

    Returns:
      The cases, and the reasons why implementations are missing.
    """
    rng = np.random.default_rng(0)
    height_width = (size, size) if isinstance(size, int) else size
    shape = (3, batch, *height_width, channels)
    images = {d: rng.integers(256, size=shape, dtype=np.uint8) for d in "ab"}
    made: dict[str, list[Implementation]] = {work: [] for work in only}
    counts: dict[str, dict[str, float]] = {work: {} for work in only}
    skipped: dict[str, str] = {}

    def asked(name: str) -> bool:
        return sides is None or name in sides

    def add(name: str, calls: Calls, wait: Callable[[Any], Any]) -> None:
        for work in only:
            if work in calls:
                made[work].append(Implementation(name, calls[work], wait))

    def add_jax(name: str, dtype: Any = jnp.float32, only: Sequence[str] = only) -> None:
        if not asked(name):
            return
        calls, found = jax_calls(library(recipe, size, width, dtype), images, only)
        add(name, calls, jax.block_until_ready)
        for work, count in found.items():
            counts[work][f"by XLA in {name}"] = count

    add_jax("jax")
    with flax_layers():  # a cycle of these takes very long on a CPU and adds no information
        add_jax("flax", only=[work for work in only if work != "cycle"])
    if jax.default_backend() != "cpu":
        add_jax("jax, bfloat16", jnp.bfloat16)

    device = machine.torch_device()
    if device is None:
        skipped["torch"] = "not installed" if not machine.has_torch() else "sees no GPU"
    for name, (kind, fields) in torch_kinds(device).items() if device else ():
        if not asked(name):
            continue
        try:
            calls = torch_calls(kind, recipe, images, device, width=width, **fields)
        except Exception as error:  # a missing or failing compiler must not end the benchmark
            if "mode" not in fields:
                raise
            skipped[name] = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            add(name, calls, machine.torch_wait(device))
    needed = flops.updates(recipe, size, batch, width, channels)
    works = [Case(w, made[w], needed[w], {"xla_flops": counts[w]}) for w in only]
    return works, skipped


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=tuple(CONFIGS), default="official")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=Size.of, default=Size(64, 64), help="such as 64 or 96x64")
    parser.add_argument("--channels", type=int, default=3, help="of the images")
    parser.add_argument("--width", type=int, help="channels of the first level; the recipe's")
    parser.add_argument("--budget", type=float, default=360, help="seconds, compilation included")
    args = parser.parse_args()
    # As training does; this applies to PyTorch as well.
    keep_freed_memory(args.batch * args.size.height * args.size.width)
    name = f"train_step-{args.recipe}-{args.size}px-batch{args.batch}"
    more = {"width": args.width, "channels": args.channels}
    made = partial(works, args.recipe, args.batch, args.size, **more)
    report.run(name, made, args.budget, vars(args) | {"size": args.size.plain})


if __name__ == "__main__":
    main()
