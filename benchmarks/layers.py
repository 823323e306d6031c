"""Times the layers of the official networks at batch 32: forward and both gradients, in GFLOP/s.

    python -m benchmarks.layers --budget 150

The library's layers also run inside ``lax.fori_loop``, as in `steps.train_steps`: XLA on CPU may
compile a loop's body differently. (That makes most gradients of the plain layers 10 to 100 times
slower; they are left out, since they would take most of the time.) A new formulation needs one
more line in `CANDIDATES`; each is checked against the first of its operation before the timing.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from benchmarks import flops, report
from benchmarks.harness import Case, Implementation
from discogan_jax.host import keep_freed_memory
from discogan_jax.ops import convolution, layers

BATCH = 32
IN_LOOP = 4
LAYOUT = ("NHWC", "HWIO", "NHWC")
KINDS = ("forward", "input gradient", "kernel gradient")

Operation = Callable[[Array, Array, int, str], Array]


@dataclass(frozen=True)
class Layer:
    """The shape of a layer.

    Attributes:
      operation: ``"conv"`` or ``"transpose"``.
      size: height and width of its input.
      n_in: input channels.
      n_out: output channels.
      stride: stride of the convolution or of the transposed convolution.
      padding: ``"SAME"`` or ``"VALID"``.
    """

    operation: str
    size: int
    n_in: int
    n_out: int
    stride: int = 2
    padding: str = "SAME"

    def __str__(self) -> str:
        return f"{self.operation} {self.n_in}→{self.n_out} at {self.size}×{self.size}"

    @property
    def kernel(self) -> tuple[int, ...]:
        """The shape of the kernel in Flax's layout."""
        ends = (self.n_out, self.n_in) if self.operation == "transpose" else (self.n_in, self.n_out)
        return (4, 4, *ends)

    def flops(self, batch: int) -> float:
        """The operations of the layer, and of each of its gradients."""
        small = self.size if self.operation == "transpose" else self.size // 2
        positions = 1 if self.padding == "VALID" else small * small
        return batch * flops.conv(positions, self.n_in, self.n_out)


OFFICIAL = (
    Layer("conv", 64, 3, 64),
    Layer("conv", 32, 64, 128),
    Layer("conv", 16, 128, 256),
    Layer("conv", 8, 256, 512),
    Layer("conv", 4, 512, 1, stride=1, padding="VALID"),
    Layer("transpose", 4, 512, 256),
    Layer("transpose", 8, 256, 128),
    Layer("transpose", 16, 128, 64),
    Layer("transpose", 32, 64, 3),
)


def plain_conv(x: Array, kernel: Array, stride: int, padding: str) -> Array:
    """Computes the same as ``nn.Conv``."""
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=LAYOUT)


def plain_transpose(x: Array, kernel: Array, stride: int, padding: str) -> Array:
    """Computes the same as ``nn.ConvTranspose(transpose_kernel=True)``."""
    return lax.conv_transpose(
        x, kernel, (stride, stride), padding, dimension_numbers=LAYOUT, transpose_kernel=True
    )


def library_conv(x: Array, kernel: Array, stride: int, padding: str) -> Array:
    """Computes what `layers.Conv` does."""
    window = convolution.window_of_conv(x.shape[1:3], kernel.shape[:2], stride, padding)
    return convolution.conv(x, kernel, window)


# Operation, name, function of input, kernel, stride and padding. The first is the reference.
CANDIDATES: list[tuple[str, str, Operation]] = [
    ("conv", "plain", plain_conv),
    ("conv", "library", library_conv),
    ("transpose", "plain", plain_transpose),
    ("transpose", "library", layers.conv_transpose),
]


def kinds(layer: Layer, operation: Operation) -> dict[str, Callable[..., Array]]:
    """Returns forward pass and gradients as functions of input, kernel and cotangent."""

    def forward(x: Array, kernel: Array, _: Array) -> Array:
        return operation(x, kernel, layer.stride, layer.padding)

    def input_gradient(x: Array, kernel: Array, cotangent: Array) -> Array:
        return jax.vjp(lambda x: forward(x, kernel, x), x)[1](cotangent)[0]

    def kernel_gradient(x: Array, kernel: Array, cotangent: Array) -> Array:
        return jax.vjp(lambda kernel: forward(x, kernel, x), kernel)[1](cotangent)[0]

    return dict(zip(KINDS, (forward, input_gradient, kernel_gradient), strict=True))


def in_loop(f: Callable[..., Array]) -> Callable[..., Array]:
    """Returns a function that calls f `IN_LOOP` times in a loop, on changing data."""

    def looped(xs: Array, kernel: Array, cotangents: Array) -> Array:
        def body(i: Array, _: Array) -> Array:
            return f(xs[i % len(xs)], kernel, cotangents[i % len(xs)])

        shape = jax.eval_shape(f, xs[0], kernel, cotangents[0])
        # The data changes with each iteration, so that no call can be optimized away.
        return lax.fori_loop(0, IN_LOOP, body, jnp.zeros(shape.shape, shape.dtype))

    return looped


def works(shapes: tuple[Layer, ...] = OFFICIAL, batch: int = BATCH) -> Iterator[Case]:
    """Compiles every candidate for every layer, forward and for each gradient.

    Args:
      shapes: the layers.
      batch: images per batch.

    Yields:
      One case per layer and per forward pass or gradient.

    Raises:
      AssertionError: if two candidates differ by more than rounding.
    """
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Array:
        return jnp.asarray(rng.standard_normal(shape, np.float32))

    for layer in shapes:
        candidates = [(n, kinds(layer, f)) for o, n, f in CANDIDATES if o == layer.operation]
        xs, kernel = draw(2, batch, layer.size, layer.size, layer.n_in), draw(*layer.kernel)
        made = jax.eval_shape(candidates[0][1]["forward"], xs[0], kernel, xs[0]).shape
        cotangents = draw(2, *made)
        for kind in KINDS:
            sides, expected = [], None
            for name, functions in candidates:
                alone = jax.jit(functions[kind])
                one = (xs[1], kernel, cotangents[1])  # what the loop ends with
                ways = [Implementation(name, partial(alone, *one), jax.block_until_ready)]
                if name != "plain":
                    looped = partial(jax.jit(in_loop(functions[kind])), xs, kernel, cotangents)
                    ways.append(
                        Implementation(f"{name}, loop", looped, jax.block_until_ready, IN_LOOP)
                    )
                for way in ways:
                    actual = way.call()
                    expected = actual if expected is None else expected
                    scale = float(jnp.abs(expected).max())
                    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * scale)
                sides += ways
            yield Case(f"{layer}, {kind}", sides, layer.flops(batch))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=150, help="seconds, compilation included")
    parser.add_argument("--batch", type=int, default=BATCH, help="images")
    args = parser.parse_args()
    keep_freed_memory(args.batch * OFFICIAL[0].size ** 2)  # as training does
    made = partial(works, batch=args.batch)
    report.run("layers", lambda: (list(made()), {}), args.budget, {"batch": args.batch})


if __name__ == "__main__":
    main()
