"""Implements the updates in PyTorch: as published, and without redundant work.

`Published` has the structure of the authors' loop: every iteration runs the whole forward pass
(translations, reconstructions and all discriminator passes), computes both players' losses, and
differentiates one of them with respect to everything. `Tuned` computes only what an update needs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (PyTorch's own name for it)

from benchmarks.torch_networks import trained
from discogan_jax.state import Adam, DiscoGAN

Batch = Mapping[str, Tensor]
Terms = dict[str, Tensor]
BATCH_NORMS = nn.BatchNorm1d, nn.BatchNorm2d


def unit(batch: Batch) -> dict[str, Tensor]:
    """Converts uint8 images to floats in [0, 1]; returns floats unchanged."""
    return {d: x.float() / 255 if x.dtype == torch.uint8 else x for d, x in batch.items()}


def adversarial(logits: Tensor, real: bool) -> Tensor:
    """Computes the binary cross entropy against the label "real" or "fake"."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def feature_matching(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Computes the squared distance of the batch means of activations, summed over feature maps."""
    maps = zip(real, fake, strict=True)
    distances = [(r.float().mean(0) - f.float().mean(0)).square().mean() for r, f in maps]
    return torch.stack(distances).sum()


def vivid(images: Tensor, factor: float) -> Tensor:
    """Multiplies the differences of each pixel's channels from their mean."""
    if factor == 1:
        return images
    grey = images.mean(1, keepdim=True)
    return grey + factor * (images - grey)


def at_once(net: nn.Module, apply: Callable[[Tensor], Tensor], *batches: Tensor) -> list[Tensor]:
    """Applies a network to several batches, as to one unless batch norm couples their images."""
    if any(isinstance(module, BATCH_NORMS) for module in net.modules()):
        return [apply(x) for x in batches]
    return [*apply(torch.cat(batches)).chunk(len(batches))]


def _adam(tx: Adam, fused: bool) -> dict[str, Any]:
    """Returns the arguments of ``torch.optim.Adam`` for the same optimizer."""
    return {
        "lr": tx.learning_rate,
        "betas": (tx.b1, tx.b2),
        "weight_decay": tx.l2,
        "fused": fused or None,
    }


def _only(total: str, terms: Terms) -> Terms:
    """Detaches all terms except the total."""
    return {k: v if k == total else v.detach() for k, v in terms.items()}


class Trainer(ABC):
    """Four networks and two optimizers; subclasses define how an update is computed.

    Attributes:
      nets: the networks, see `torch_networks.networks`.
      weights: weights of the losses.
      ema: averages of the generators' parameters, or None.
      updates: number of finished updates of both players.
      terms: loss terms of the last update.
    """

    def __init__(self, nets: nn.ModuleDict, gan: DiscoGAN, device: str, fused: bool = False):
        """Places the networks and builds the optimizers.

        Args:
          nets: the networks.
          gan: losses and optimizers.
          device: ``"cpu"`` or ``"cuda"``.
          fused: whether each optimizer is one kernel.
        """
        self.nets = nets.to(device, memory_format=torch.channels_last)
        self.weights, self.updates = gan.weights, 0
        self.gen, self.dis = trained([nets["ab"], nets["ba"]]), trained([nets["a"], nets["b"]])
        self.gen_adam = torch.optim.Adam(self.gen, **_adam(gan.gen_tx, fused))
        self.dis_adam = torch.optim.Adam(self.dis, **_adam(gan.dis_tx, fused))
        self.ema_decay = gan.ema_decay
        self.ema = [p.detach().clone() for p in self.gen] if gan.ema_decay else None
        self.terms: Terms = {}

    def rate(self) -> float | None:
        """Returns the reconstruction rate of the next update."""
        w = self.weights
        early = w.rate_start is not None and self.updates < w.rate_updates
        return w.rate_start if early else w.rate

    def generator_total(self, terms: Terms, rate: float | None) -> Tensor:
        """Computes the generators' loss from its terms."""
        w = self.weights
        cycle_weight, adversarial_weight = (1.0, 1.0) if rate is None else (rate, 1 - rate)
        total = torch.zeros((), device=terms["gen_a_loss"].device)
        for d in "ab":
            total = total + adversarial_weight * w.adversarial * terms[f"gen_{d}_loss"]
            if w.feature:
                total = total + adversarial_weight * w.feature * terms[f"fm_{d}_loss"]
            total = total + cycle_weight * w.reconstruction * terms[f"const_{d}_loss"]
            if w.identity:
                total = total + w.identity * terms[f"identity_{d}_loss"]
        return total

    def judge(self, d: str, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Applies a discriminator."""
        return self.nets[d](vivid(images, self.weights.colour))

    def error(self, images: Tensor, wanted: Tensor) -> Tensor:
        """Computes the mean squared error of images."""
        return F.mse_loss(*(vivid(x, self.weights.colour) for x in (images, wanted)))

    def average(self) -> None:
        """Updates the averages after an update of the generators."""
        if self.ema is not None:
            decay = min(self.ema_decay, (1 + self.updates) / (10 + self.updates))
            torch._foreach_lerp_(self.ema, [p.detach() for p in self.gen], 1 - decay)

    @abstractmethod
    def d_update(self, batch: Batch) -> Terms:
        """Updates the discriminators."""

    @abstractmethod
    def g_update(self, batch: Batch) -> Terms:
        """Updates the generators."""

    def cycle(self, batches: list[Batch]) -> Terms:
        """Performs one update of the discriminators, then two of the generators."""
        self.d_update(batches[0])
        self.g_update(batches[1])
        return self.g_update(batches[2])


class Published(Trainer):
    """The authors' loop: the whole forward pass in every update, then one of the two optimizers."""

    def losses(self, batch: Batch) -> Terms:
        """Computes both players' losses and all of their terms."""
        real, nets, w = unit(batch), self.nets, self.weights
        fake = {"b": nets["ab"](real["a"]), "a": nets["ba"](real["b"])}
        again = {"a": nets["ba"](fake["b"]), "b": nets["ab"](fake["a"])}
        terms: Terms = {}
        for d in "ab":
            on_real, real_activations = self.judge(d, real[d])
            on_fake, fake_activations = self.judge(d, fake[d])
            terms[f"disc_{d}_loss"] = w.discriminator * (
                adversarial(on_real, True) + adversarial(on_fake, False)
            )
            terms[f"gen_{d}_loss"] = adversarial(on_fake, True)
            if w.feature:
                terms[f"fm_{d}_loss"] = feature_matching(real_activations, fake_activations)
            terms[f"const_{d}_loss"] = self.error(again[d], real[d])
            if w.identity:
                same = nets["ab" if d == "b" else "ba"](real[d])
                terms[f"identity_{d}_loss"] = self.error(same, real[d])
        terms["disc_loss"] = terms["disc_a_loss"] + terms["disc_b_loss"]
        terms["gen_loss"] = self.generator_total(terms, self.rate())
        return terms

    def _update(self, batch: Batch, adam: torch.optim.Optimizer, loss: str) -> Terms:
        self.nets.zero_grad()
        self.terms = self.losses(batch)
        self.terms[loss].backward()
        adam.step()
        self.updates += 1
        return self.terms

    def d_update(self, batch: Batch) -> Terms:
        """Updates the discriminators."""
        return self._update(batch, self.dis_adam, "disc_loss")

    def g_update(self, batch: Batch) -> Terms:
        """Updates the generators."""
        terms = self._update(batch, self.gen_adam, "gen_loss")
        self.average()
        return terms


class Tuned(Trainer):
    """Without redundant work: no reconstructions for D, no unused gradients, a fused Adam."""

    def __init__(
        self,
        nets: nn.ModuleDict,
        gan: DiscoGAN,
        device: str,
        mode: str | None = None,
        bf16: bool = False,
    ):
        """Builds the loss functions and optimizers.

        Args:
          nets: see `Trainer`.
          gan: see `Trainer`.
          device: see `Trainer`.
          mode: mode of ``torch.compile``; None compiles nothing.
          bf16: whether to compute in bfloat16 under autocast; parameters stay float32.
        """
        super().__init__(nets, gan, device, fused=True)
        self.device, self.bf16, self.graphs = device, bf16, mode is not None and device == "cuda"

        def compiled(f: Callable[..., Terms]) -> Callable[..., Terms]:
            return f if mode is None else torch.compile(f, mode=mode)

        self._d_loss, self._g_loss = compiled(self.d_losses), compiled(self.g_losses)

    def d_losses(self, batch: Batch) -> Terms:
        """Computes the discriminators' loss and its terms."""
        real, nets, terms = unit(batch), self.nets, {}
        with torch.no_grad():
            fake = {"b": nets["ab"](real["a"]), "a": nets["ba"](real["b"])}
        for d in "ab":
            both = real[d], fake[d]
            on_real, on_fake = at_once(nets[d], lambda x, d=d: self.judge(d, x)[0], *both)
            terms[f"disc_{d}_loss"] = self.weights.discriminator * (
                adversarial(on_real, True) + adversarial(on_fake, False)
            )
        terms["disc_loss"] = terms["disc_a_loss"] + terms["disc_b_loss"]
        return _only("disc_loss", terms)

    def g_losses(self, batch: Batch, rate: float | None) -> Terms:
        """Computes the generators' loss and its terms."""
        real, nets = unit(batch), self.nets
        terms: Terms = {}
        for source, target in ("ab", "ba"):
            net = nets[source + target]
            inputs = (real[source], real[target]) if self.weights.identity else (real[source],)
            fake, *same = at_once(net, net, *inputs)
            logits, fake_activations = self.judge(target, fake)
            terms[f"gen_{target}_loss"] = adversarial(logits, True)
            if self.weights.feature:
                _, real_activations = self.judge(target, real[target])
                terms[f"fm_{target}_loss"] = feature_matching(real_activations, fake_activations)
            again = nets[target + source](fake)
            terms[f"const_{source}_loss"] = self.error(again, real[source])
            if self.weights.identity:
                terms[f"identity_{target}_loss"] = self.error(same[0], real[target])
        terms["gen_loss"] = self.generator_total(terms, rate)
        return _only("gen_loss", terms)

    def _update(
        self, adam: torch.optim.Optimizer, total: str, loss: Callable[..., Terms], *args: Any
    ) -> Terms:
        for p in self.dis:
            p.requires_grad_(total == "disc_loss")
        if self.graphs:
            torch.compiler.cudagraph_mark_step_begin()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            self.terms = loss(*args)
        self.terms[total].backward()
        adam.step()
        adam.zero_grad()
        self.updates += 1
        return self.terms

    def d_update(self, batch: Batch) -> Terms:
        """Updates the discriminators."""
        return self._update(self.dis_adam, "disc_loss", self._d_loss, batch)

    def g_update(self, batch: Batch) -> Terms:
        """Updates the generators."""
        terms = self._update(self.gen_adam, "gen_loss", self._g_loss, batch, self.rate())
        self.average()
        return terms
