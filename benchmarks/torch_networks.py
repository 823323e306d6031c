"""Defines the recipes' networks in PyTorch for the comparisons; tested against golden numbers.

Written from the papers' and the book's tables (docs/recipes.md), not from this library. Images are
NCHW here; parameters of the official networks have the names of the published code.
"""

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (PyTorch's own name for it)

# PyTorch copies the input for the book's even kernels, and warns about it once per process.
warnings.filterwarnings("ignore", "Using padding='same' with even kernel", UserWarning)

MAX_WIDTH = 512
LEAK = 0.003  # of `best`


Sides = tuple[int, int]  # height and width


def widths(size: Sides, first: int, more: int = 0) -> list[int]:
    """Returns the channels of the levels that halve an image down to 4 to 7 pixels, and of more."""
    n = min(size).bit_length() - 3 + more
    return [min(first * 2**i, MAX_WIDTH) for i in range(n)]


class OfficialGenerator(nn.Module):
    """The published generator, optionally with the bottleneck of the "extra layers"."""

    def __init__(self, size: Sides, channels: int, width: int = 64, bottleneck: int | None = None):
        super().__init__()
        down = [channels, *widths(size, width)]
        layers: list[nn.Module] = []

        def hidden(conv: nn.Module, n: int, activation: nn.Module) -> None:
            layers.extend([conv, nn.BatchNorm2d(n), activation])

        layers += [nn.Conv2d(channels, down[1], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for n_in, n in pairwise(down[1:]):
            hidden(nn.Conv2d(n_in, n, 4, 2, 1, bias=False), n, nn.LeakyReLU(0.2))
        if bottleneck is not None:
            last = down[-1]
            hidden(nn.Conv2d(last, bottleneck, 4, bias=False), bottleneck, nn.LeakyReLU(0.2))
            hidden(nn.ConvTranspose2d(bottleneck, last, 4, bias=False), last, nn.ReLU())
        for n_in, n in zip(down[:1:-1], down[-2:0:-1], strict=True):
            hidden(nn.ConvTranspose2d(n_in, n, 4, 2, 1, bias=False), n, nn.ReLU())
        layers += [nn.ConvTranspose2d(down[1], channels, 4, 2, 1, bias=False), nn.Sigmoid()]
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Translates images."""
        return self.main(x)


class OfficialDiscriminator(nn.Module):
    """The published discriminator: a logit per image, and the normalized activations."""

    def __init__(self, size: Sides, channels: int, width: int = 64):
        super().__init__()
        down = [channels, *widths(size, width)]
        self.levels = len(down) - 1
        for i in range(1, self.levels + 1):
            conv = nn.Conv2d(down[i - 1], down[i], 4, 2, 1, bias=False)
            self.add_module(f"conv{i}", conv)
            if i > 1:
                self.add_module(f"bn{i}", nn.BatchNorm2d(down[i]))
        self.add_module(f"conv{self.levels + 1}", nn.Conv2d(down[-1], 1, 4, bias=False))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judges images."""
        activations = []
        for i in range(1, self.levels + 1):
            x = self.get_submodule(f"conv{i}")(x)
            if i > 1:
                x = self.get_submodule(f"bn{i}")(x)
            x = F.leaky_relu(x, 0.2)
            if i > 1:
                activations.append(x)
        return self.get_submodule(f"conv{self.levels + 1}")(x).mean((1, 2, 3)), activations


class _Leaky(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.sigmoid(x)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        slope = y * (1 - y)
        return gradient * torch.where(gradient * x > 0, slope.clamp(min=LEAK), slope)


class LeakySigmoid(nn.Module):
    """Computes `models.leaky_sigmoid`."""

    def forward(self, x: Tensor) -> Tensor:
        """Computes the sigmoid."""
        return _Leaky.apply(x)


class BestGenerator(nn.Module):
    """The generator of `best`: biases for norms; pixels are copied and convolved from 32 px on."""

    def __init__(self, size: Sides, channels: int, width: int = 64):
        super().__init__()
        down = [channels, *widths(size, width)]
        layers: list[nn.Module] = []
        for n_in, n in pairwise(down):
            layers += [nn.Conv2d(n_in, n, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i, (n_in, n) in enumerate(pairwise(down[:0:-1])):
            up = nn.ConvTranspose2d(n_in, n, 4, 2, 1) if i < 2 else _resized(n_in, n)
            layers += [up, nn.ReLU()]
        self.main = nn.Sequential(*layers, _resized(down[1], channels), LeakySigmoid())
        for name, p in self.named_parameters():
            nn.init.zeros_(p) if name.endswith("bias") else nn.init.kaiming_normal_(p)

    def forward(self, x: Tensor) -> Tensor:
        """Translates images."""
        return self.main(x)


def _resized(n_in: int, n: int) -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(n_in, n, 3, padding=1))


class BestDiscriminator(OfficialDiscriminator):
    """The discriminator of `best`: biases instead of batch norm."""

    def __init__(self, size: Sides, channels: int, width: int = 64):
        super().__init__(size, channels, width)
        for i in range(2, self.levels + 1):
            conv = self.get_submodule(f"conv{i}")
            conv.bias = nn.Parameter(torch.zeros(conv.out_channels))
            setattr(self, f"bn{i}", nn.Identity())


def _offset_norm(norm: type[nn.Module], n: int) -> nn.Module:
    """Returns the book's batch norm: an offset and no scale."""
    layer = norm(n, eps=1e-3)
    layer.weight.requires_grad_(False)
    return layer


def _draw(module: nn.Module) -> None:
    """Draws the book's initial weights."""
    for p in module.parameters():
        if p.ndim > 1:
            nn.init.trunc_normal_(p, std=0.02, a=-0.04, b=0.04)


class BookGenerator(nn.Module):
    """The book's generator, defects fixed: sub-pixel up-sampling, a sigmoid at the end."""

    def __init__(self, size: Sides, channels: int, width: int = 32):
        super().__init__()
        down = [channels, *widths(size, width)]
        up = [*down[-1:0:-1], down[1] // 2]
        self.down = nn.ModuleList(
            nn.Conv2d(n_in, n, 4, 2, 1, bias=i == 0) for i, (n_in, n) in enumerate(pairwise(down))
        )
        self.down_norms = nn.ModuleList(_offset_norm(nn.BatchNorm2d, n) for n in down[2:])
        self.up = nn.ModuleList(
            nn.Conv2d(n_in, 4 * n, 4, padding="same", bias=False) for n_in, n in pairwise(up)
        )
        self.up_norms = nn.ModuleList(_offset_norm(nn.BatchNorm2d, 4 * n) for n in up[1:])
        self.out = nn.Conv2d(up[-1], channels, 4, padding="same")
        _draw(self)

    def forward(self, x: Tensor) -> Tensor:
        """Translates images."""
        x = F.leaky_relu(self.down[0](x), 0.2)
        for conv, norm in zip(self.down[1:], self.down_norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), 0.2)
        for conv, norm in zip(self.up, self.up_norms, strict=True):
            x = F.pixel_shuffle(F.relu(norm(conv(x))), 2)
        return torch.sigmoid(self.out(x))


class BookDiscriminator(nn.Module):
    """The book's discriminator, defects fixed: a logit per image and the normalized activations."""

    def __init__(self, size: Sides, channels: int, width: int = 32):
        super().__init__()
        down = [channels, *widths(size, width, more=1)]
        self.down = nn.ModuleList(
            nn.Conv2d(n_in, n, 4, 2, 1, bias=i == 0) for i, (n_in, n) in enumerate(pairwise(down))
        )
        self.down_norms = nn.ModuleList(_offset_norm(nn.BatchNorm2d, n) for n in down[2:])
        height, width = (math.ceil(side / 2 ** len(self.down)) for side in size)
        self.hidden = nn.Linear(height * width * down[-1], 512, bias=False)
        self.hidden_norm = _offset_norm(nn.BatchNorm1d, 512)
        self.out = nn.Linear(512, 1)
        _draw(self)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judges images."""
        x = F.leaky_relu(self.down[0](x), 0.2)
        activations = []
        for conv, norm in zip(self.down[1:], self.down_norms, strict=True):
            x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))  # the last size may be odd
            x = F.leaky_relu(norm(conv(x)), 0.2)
            activations.append(x)
        # Height, width, channels: free of cost if the memory format is channels-last.
        x = self.hidden(x.permute(0, 2, 3, 1).flatten(1))
        return self.out(F.leaky_relu(self.hidden_norm(x), 0.2)).flatten(), activations


def networks(
    recipe: str, size: int | Sides, width: int | None = None, channels: int = 3, **fields: int
) -> nn.ModuleDict:
    """Builds both generators (``ab``, ``ba``) and discriminators (``a``, ``b``) of a recipe."""
    of = {
        "official": (OfficialGenerator, OfficialDiscriminator),
        "book": (BookGenerator, BookDiscriminator),
        "best": (BestGenerator, BestDiscriminator),
    }
    generator, discriminator = of[recipe]
    narrow = {} if width is None else {"width": width}
    shape = (size, size) if isinstance(size, int) else size, channels
    nets = {d: generator(*shape, **narrow, **fields) for d in ("ab", "ba")}
    nets |= {d: discriminator(*shape, **narrow) for d in ("a", "b")}
    return nn.ModuleDict(nets)


def trained(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    """Returns the parameters that an optimizer updates."""
    return [p for m in modules for p in m.parameters() if p.requires_grad]
