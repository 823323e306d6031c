"""The judge: a small network that tells the two domains of a run apart."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from discogan_jax.evaluation import probe
from discogan_jax.evaluation.probe import ByteOrFloatImages


@dataclass(frozen=True)
class DomainClassifier:
    """Tells the two domains apart; its activations serve as a feature space.

    Attributes:
      probe: predicts -1 for domain a, 1 for b.
      training_features: features of training images, per domain.
    """

    probe: probe.Probe
    training_features: dict[str, Float[np.ndarray, "N features"]]

    @classmethod
    def fit(cls, train: dict[str, UInt8[np.ndarray, "N H W C"]]) -> "DomainClassifier":
        """Trains one on equally many training images of both domains."""
        most = min(probe.MAX_IMAGES // 2, *(len(x) for x in train.values()))
        chosen = {d: np.asarray(x[probe.spaced(len(x), most)]) for d, x in train.items()}
        # -1 for domain a, 1 for b.
        targets = np.repeat(np.array([[-1.0], [1.0]]), most, 0)
        trained = probe.fit(np.concatenate([chosen["a"], chosen["b"]]), targets)
        return cls(trained, {d: trained.features(x) for d, x in chosen.items()})

    def share(self, images: ByteOrFloatImages, domain: str) -> float:
        """Finds the share of images that it takes for a domain's."""
        predicted = self.probe.predict(images)[:, 0]
        return float(((predicted > 0) if domain == "b" else (predicted <= 0)).mean())
