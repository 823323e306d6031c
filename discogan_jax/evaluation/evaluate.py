"""How well a run translates its held-out images: a table of values beside their references."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from discogan_jax import host, steps
from discogan_jax.config import build
from discogan_jax.config.schema import Settings
from discogan_jax.data import sources
from discogan_jax.errors import InputError
from discogan_jax.evaluation import attributes, scores, table
from discogan_jax.evaluation.metrics.inception import Extractor
from discogan_jax.evaluation.table import Path, Row
from discogan_jax.images import in_batches
from discogan_jax.runs import Run
from discogan_jax.state import DiscoGAN, TrainState, generators_only

MAX_IMAGES = 500
MIN_IMAGES = 2

Images = Float[np.ndarray, "N S S 3"]


@dataclass(frozen=True)
class Known:
    """What is known of real images, found out once and used for every state of a run.

    Attributes:
      real: per domain, held-out images.
      judge: taught on the training images.
      facts: per domain, what held-out images are known to show; empty for photographs.
      eyes: per domain, what reads such facts; has the same domains.
    """

    real: dict[str, Images]
    judge: scores.Judge
    facts: dict[str, attributes.Facts]
    eyes: dict[str, attributes.Eyes]


def known(s: Settings, loaded: Mapping[str, sources.Splits]) -> Known:
    """Teaches judge and eyes; a matter of seconds, on one device.

    Args:
      s: the run's settings.
      loaded: its images, from `build.images`.

    Raises:
      InputError: too few images are held out.
    """
    for domain, x in zip(s.domains, loaded.values(), strict=True):
        if len(x.val) < MIN_IMAGES:
            raise InputError(
                f"{domain}: {len(x.val)} held-out image; measuring needs {MIN_IMAGES}, and numbers "
                "to rely on need a hundred"
            )
    real = {d: _unit(np.asarray(x.val[:MAX_IMAGES])) for d, x in loaded.items()}
    judge = scores.Judge.taught({d: x.train for d, x in loaded.items()})
    items = build.described(s)
    facts = {d: attributes.Facts.of(x["val"][:MAX_IMAGES]) for d, x in items.items()}
    eyes = {
        d: attributes.Eyes.taught(loaded[d].train, attributes.Facts.of(x["train"]))
        for d, x in items.items()
    }
    return Known(real, judge, facts, eyes)


def evaluate(run: Run, *, extractor: Extractor | None = None, batch_size: int = 64) -> list[Row]:
    """Measures a run on its held-out images.

    Running statistics are used, and averaged parameters where the run keeps them (`Run.raw` is the
    same run without). Deterministic; batch size and number of devices change rounding alone.

    Args:
      run: from `runs.open`.
      extractor: from `inception.load`, for FID and KID.
      batch_size: images at a time.

    Raises:
      InputError: the run's images are not to be found, or too few are held out.
    """
    about = known(run.settings, build.images(run.settings))
    fewest = min(len(x) for x in about.real.values())
    if extractor is not None and fewest < scores.LEAST_IN_FEATURES:
        raise InputError(
            f"{fewest} held-out images are too few for {extractor.name}: "
            f"{scores.LEAST_IN_FEATURES} are needed, and thousands for numbers to compare"
        )
    return measure(
        run.settings, run.gan, run.state, about, extractor=extractor, batch_size=batch_size
    )


def measure(
    s: Settings,
    gan: DiscoGAN,
    state: TrainState,
    about: Known,
    *,
    extractor: Extractor | None = None,
    batch_size: int = 64,
) -> list[Row]:
    """Measures a state.

    Args:
      s: the run's settings.
      gan: what is trained.
      state: its state, on any devices.
      about: from `known`.
      extractor: from `inception.load`, for FID and KID.
      batch_size: images at a time.
    """
    state = generators_only(state)
    names = dict(zip("ab", s.domains, strict=True))

    def make(x: Images, direction: str) -> Images:
        return in_batches(lambda x: steps.translate_jit(gan, state, x, direction), x, batch_size)

    found = _references(about, names)
    for direction in ("ab", "ba") if gan.objective == "discogan" else ("ab",):
        source, target = direction[0], direction[1]
        real, wanted = about.real[source], about.real[target]
        made = make(real, direction)
        path = Path((names[source], names[target]))
        if gan.objective != "gan":
            there_and_back = Path((*path.domains, names[source]))
            found += scores.reconstructed(real, make(made, target + source), there_and_back)
        found += scores.real_looking(made, wanted, path)
        found += scores.judged(made, wanted, about.judge, target, path)
        if extractor is not None:
            found += scores.in_features(made, wanted, extractor, path)
        found += scores.varied(made, real, wanted, path)
        if _are_pairs(s):
            count = min(len(made), len(wanted))
            found += scores.against_pairs(made[:count], wanted[:count], path)
        found += scores.coloured(made, real, wanted, path)
        if source in about.facts and target in about.eyes:
            found += attributes.held(about.eyes[target], made, about.facts[source], path)
    return found


def report(step: int, state: TrainState, found: list[Row]) -> Mapping[str, Any]:
    """What `evaluation.json` holds.

    Args:
      step: of the state.
      state: what was measured; of one without averages, the parameters themselves.
      found: from `measure`.
    """
    return {
        "step": step,
        "parameters": "raw" if state.ema is None else "averaged",
        "rows": table.as_json(found),
        "versions": host.versions(),
    }


def _references(about: Known, names: Mapping[str, str]) -> list[Row]:
    """How good the judge and the eyes are themselves, on held-out real images."""
    shares = [about.judge.share(x, d) for d, x in about.real.items()]
    both = Path((" and ".join(names.values()),))
    found = [both.row("judge", "told apart by the judge", float(np.mean(shares)), "higher")]
    for d, eyes in about.eyes.items():
        found += attributes.read_right(eyes, about.real[d], about.facts[d], Path((names[d],)))
    return found


def _are_pairs(s: Settings) -> bool:
    """Whether held-out image i of one domain is the partner of image i of the other."""
    sides = [source.split("/") for source in (s.data.source_a, s.data.source_b)]
    return (
        all(parts[0].startswith("archive:") and len(parts) > 1 for parts in sides)
        and sides[0][0] == sides[1][0]
        and sides[0][1] != sides[1][1]
    )


def _unit(images: np.ndarray) -> Images:
    return images.astype(np.float32) / 255
