"""Trains the published CycleGAN as a challenger of the recipes; `quality` calls it.

Written from the paper (Zhu et al. 2017, arXiv:1703.10593): generators of six residual blocks,
discriminators of overlapping patches, least squares, absolute errors of reconstruction (weight 10)
and identity (5), the last 50 translations as negatives, instance norm, single images, and a
learning rate that is constant for half of the training and then falls to 0. What the authors' code
fixes beyond the paper is as there: the norm has no parameters, convolutions have biases, the
generators' update comes first.

Two things differ. Images are not enlarged, cut and mirrored at random, since they are not for the
other recipes. And all that goes through a network goes through it at once: with instance norm that
changes nothing but the time, in CycleGAN's favour.
"""

import statistics
import time
from bisect import insort
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (PyTorch's own name for it)

from benchmarks.torch_networks import trained
from discogan_jax.config import build, schema
from discogan_jax.config.schema import Settings
from discogan_jax.errors import InputError
from discogan_jax.evaluation import evaluate
from discogan_jax.files import find_json, write_json
from discogan_jax.images import in_batches, save, to_unit
from discogan_jax.runs import layout
from discogan_jax.train import samples

WIDTH = 64
LEAST_SIDE = 24  # pixels; of smaller images nothing is left for the last layer
POOL = 50
RECONSTRUCTION, IDENTITY = 10.0, 5.0
ADAM: dict[str, Any] = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
ROUTES = ("ab", "ba", "aba", "bab")
FILE = "cyclegan.json"

Batch = Mapping[str, Tensor]  # an image [1, C, H, W] of each domain, in [-1, 1]


class Residual(nn.Module):
    """Two convolutions beside a path that leaves the input as it is."""

    def __init__(self, n: int):
        super().__init__()
        self.main = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_normed(nn.Conv2d(n, n, 3), nn.ReLU(inplace=True)),
            nn.ReflectionPad2d(1),
            *_normed(nn.Conv2d(n, n, 3)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Adds what the convolutions make of the input."""
        return x + self.main(x)


def generator(channels: int = 3, width: int = WIDTH, blocks: int = 6) -> nn.Sequential:
    """Builds a generator of images in [-1, 1] whose sides are multiples of four pixels."""
    relu = nn.ReLU(inplace=True)
    layers = [nn.ReflectionPad2d(3), *_normed(nn.Conv2d(channels, width, 7), relu)]
    for n in (width, 2 * width):
        layers += _normed(nn.Conv2d(n, 2 * n, 3, 2, 1), relu)
    layers += [Residual(4 * width) for _ in range(blocks)]
    for n in (4 * width, 2 * width):
        layers += _normed(nn.ConvTranspose2d(n, n // 2, 3, 2, 1, output_padding=1), relu)
    last = nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()
    return _drawn(nn.Sequential(*layers, *last))


def discriminator(channels: int = 3, width: int = WIDTH) -> nn.Sequential:
    """Builds a discriminator that judges patches of 70×70 pixels; 32 pixels have 2×2 of them."""
    leaky = nn.LeakyReLU(0.2, inplace=True)
    layers = [nn.Conv2d(channels, width, 4, 2, 1), leaky]
    for n, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
        layers += _normed(nn.Conv2d(n, 2 * n, 4, stride, 1), leaky)
    return _drawn(nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1)))


def _normed(conv: nn.Module, *activation: nn.Module) -> list[nn.Module]:
    return [conv, nn.InstanceNorm2d(conv.out_channels), *activation]


def _drawn(net: nn.Sequential) -> nn.Sequential:
    """Draws the initial weights; biases are 0."""
    for p in net.parameters():
        if p.ndim > 1:
            nn.init.normal_(p, std=0.02)
        else:
            nn.init.zeros_(p)
    return net


class Pool:
    """Keeps translations, so that discriminators also see some of those made before."""

    def __init__(self, rng: np.random.Generator, size: int = POOL):
        self._rng, self._size = rng, size
        self._kept: list[Tensor] = []

    def exchange(self, image: Tensor) -> Tensor:
        """Returns the image, or with a chance of a half a kept one, whose place it takes.

        While the pool is not full, the image is kept and returned.
        """
        if len(self._kept) < self._size:
            self._kept.append(image)
            return image
        if self._rng.random() < 0.5:
            return image
        i = self._rng.integers(self._size)
        image, self._kept[i] = self._kept[i], image
        return image


class CycleGAN:
    """Two generators, two discriminators, their optimizers and pools.

    Attributes:
      nets: generators ``ab`` and ``ba``, discriminators ``a`` and ``b``.
    """

    def __init__(self, channels: int, width: int, seed: int):
        """Draws the networks.

        Args:
          channels: of the images.
          width: channels of the first level of all networks.
          seed: of their weights and of the pools.
        """
        torch.manual_seed(seed)
        nets = {d: generator(channels, width) for d in ("ab", "ba")}
        nets |= {d: discriminator(channels, width) for d in "ab"}
        self.nets = nn.ModuleDict(nets).to(memory_format=torch.channels_last)
        rng = np.random.default_rng((seed, 1))  # apart from that of the order of the images
        self._pools = {d: Pool(rng) for d in "ab"}
        self._judges = trained([nets["a"], nets["b"]])
        self._gen_adam = torch.optim.Adam(trained([nets["ab"], nets["ba"]]), **ADAM)
        self._dis_adam = torch.optim.Adam(self._judges, **ADAM)

    def generator_terms(self, real: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Computes the weighted terms of the generators' loss.

        Returns:
          The terms, and the translations by domain.
        """
        terms, fake = {}, {}
        for source, target in ("ab", "ba"):
            both = torch.cat([real[source], real[target]])
            fake[target], same = self.nets[source + target](both).chunk(2)
            again = self.nets[target + source](fake[target])
            terms |= {
                f"gen_{target}": (self.nets[target](fake[target]) - 1).square().mean(),
                f"cycle_{source}": RECONSTRUCTION * F.l1_loss(again, real[source]),
                f"identity_{target}": IDENTITY * F.l1_loss(same, real[target]),
            }
        return terms, fake

    def discriminator_terms(self, real: Batch, fake: Batch) -> dict[str, Tensor]:
        """Computes the loss of each discriminator, given translations that a pool returned."""
        terms = {}
        for d in "ab":
            on_real, on_fake = self.nets[d](torch.cat([real[d], fake[d]])).chunk(2)
            terms[f"dis_{d}"] = ((on_real - 1).square().mean() + on_fake.square().mean()) / 2
        return terms

    def update(self, real: Batch, factor: float) -> None:
        """Updates the generators, then the discriminators.

        Args:
          real: an image of each domain.
          factor: of the learning rate.
        """
        self._judge(False)
        terms, fake = self.generator_terms(real)
        self._descend(self._gen_adam, terms, factor)
        self._judge(True)
        shown = {d: self._pools[d].exchange(x.detach()) for d, x in fake.items()}
        self._descend(self._dis_adam, self.discriminator_terms(real, shown), factor)

    def _judge(self, learning: bool) -> None:
        for p in self._judges:
            p.requires_grad_(learning)

    def _descend(
        self, adam: torch.optim.Optimizer, terms: Mapping[str, Tensor], factor: float
    ) -> None:
        adam.zero_grad()
        torch.stack([*terms.values()]).sum().backward()
        adam.param_groups[0]["lr"] = factor * ADAM["lr"]
        adam.step()

    @torch.no_grad()
    def translate(self, images: np.ndarray, direction: str) -> np.ndarray:
        """Translates images [N, H, W, C], bytes or in [0, 1], to images in [0, 1]."""

        def apply(batch: np.ndarray) -> np.ndarray:
            made = self.nets[direction](_tensor(batch))
            return ((made + 1) / 2).permute(0, 2, 3, 1).numpy()

        return in_batches(apply, images, 64)


def _tensor(images: np.ndarray) -> Tensor:
    unit = to_unit(images) if images.dtype == np.uint8 else images
    return torch.from_numpy(2 * unit - 1).permute(0, 3, 1, 2)  # channels last in memory


class Progress:
    """The share of a training that is done, where its seconds are given.

    Each iteration counts as the median of all so far. A pause of the machine then neither ends the
    training early nor lowers the learning rate, as it would by the clock; nor does the length
    depend on how busy the machine was at the beginning. `quality` measures the time of the other
    recipes by medians, too.

    Attributes:
      iterations: number of finished iterations.
      share: 0 to 1 or a little more.
    """

    def __init__(self, seconds: float):
        self._seconds, self._took = seconds, list[float]()
        self.iterations, self.share = 0, 0.0

    def add(self, took: float) -> None:
        """Counts an iteration that took so many seconds."""
        insort(self._took, took)
        self.iterations += 1
        self.share = self.iterations * statistics.median(self._took) / self._seconds

    @property
    def factor(self) -> float:
        """The factor of the learning rate: 1 for the first half, then falling to 0."""
        return min(1.0, max(0.0, 2 * (1 - self.share)))


def train(
    model: CycleGAN,
    images: Mapping[str, np.ndarray],
    seconds: float,
    points: int,
    record: Callable[[int], None],
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Trains for a time, in which nothing but iterations counts.

    Args:
      model: what is trained.
      images: uint8 images by domain.
      seconds: the time.
      points: number of parts of equal time that it is divided in.
      record: called after each part with the number of finished iterations.
      seed: of the order of the images.
      clock: returns seconds.
    """
    rng = np.random.default_rng(seed)
    feeds = {d: _shuffled(x, rng.spawn(1)[0]) for d, x in images.items()}
    progress = Progress(seconds)
    done = 0
    while done < points:
        began = clock()
        model.update({d: _tensor(next(feed)) for d, feed in feeds.items()}, progress.factor)
        progress.add(clock() - began)
        if points * progress.share >= done + 1:
            done += 1
            record(progress.iterations)


def _shuffled(images: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields single images, all of them in random order, and again."""
    while True:
        for i in rng.permutation(len(images)):
            yield np.asarray(images[i : i + 1])


def run(s: Settings, width: int, seconds: float, points: int, directory: Path) -> dict[str, Any]:
    """Trains on the images of other runs and measures as they are measured; a second call reads.

    Sample grids and, at the end, `FILE` are written.

    Args:
      s: settings with the images and the seed; what they say of networks and losses is not used.
      width: channels of the first level.
      seconds: the time of training.
      points: number of measurements, after equal times.
      directory: the folder of the run.

    Returns:
      What the file holds: ``points`` with ``step``, the number of iterations, and ``eval/...``;
      ``took``, the seconds with those of the measurements.

    Raises:
      InputError: the images are too small, or the folder has a run of other settings.
      DivergedError: translations are not finite.
    """
    # Wherever the pictures are, they are the same.
    data = schema.to_json(s)["data"] | {"data_dir": None, "archives": None}
    about = {
        "data": data,
        **{"seed": s.seed, "width": width, "seconds": seconds, "parts": points},
    }
    found = find_json(directory / FILE)
    if found is not None:
        if found["about"] != about:
            raise InputError(f"{directory} has a CycleGAN of other settings: name another --folder")
        return found
    if min(s.data.image_size) < LEAST_SIDE or any(side % 4 for side in s.data.image_size):
        raise InputError(
            f"CycleGAN takes images of at least {LEAST_SIDE} pixels, in multiples of 4, not "
            f"{s.data.image_size}: choose another --image_size, or other --recipes"
        )
    began = time.monotonic()
    images = build.images(s)
    references = evaluate.fit_references(s, images)
    held_out = {d: x.val for d, x in images.items()}
    model = CycleGAN(s.data.channels, width, s.seed)
    measured: list[dict[str, float]] = []

    def record(step: int) -> None:
        grid = samples.draw(held_out, s.domains, ROUTES[2:], model.translate, step)
        save(directory / layout.SAMPLES / f"{step:08d}.png", grid)
        rows = evaluate.measure_translations(s, references, model.translate, ROUTES, step=step)
        measured.append({"step": step} | {f"eval/{row.name}": row.value for row in rows})

    (directory / layout.SAMPLES).mkdir(parents=True, exist_ok=True)
    train(model, {d: x.train for d, x in images.items()}, seconds, points, record, s.seed)
    took = time.monotonic() - began
    write_json(directory / FILE, {"about": about, "took": took, "points": measured})
    return find_json(directory / FILE) or {}
