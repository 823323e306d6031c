"""Inception features, with which Fréchet and kernel distance are called FID and KID.

The network is the one that FID was defined with (Heusel et al. 2017, arXiv 1706.08500), converted
to TorchScript by NVIDIA: 96 MB, to be downloaded by hand from `URL`. It runs in PyTorch, the extra
`fid`. Any other TorchScript file with the same signature may be used; distances in its features are
named after that file.
"""

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Num, UInt8

from discogan_jax import host, images
from discogan_jax.errors import InputError
from discogan_jax.evaluation.metrics.features import Estimate, frechet_distance, kernel_distance
from discogan_jax.files import sha256

# From GaParmar/clean-fid, cleanfid/inception_torchscript.py.
URL = (
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/"
    "inception-2015-12-05.pt"
)
# Of the file at `URL`, from crowsonkb/k-diffusion, k_diffusion/evaluation.py.
SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"

Pictures = Num[np.ndarray, "N H W 3"]
Features = Float32[np.ndarray, "N D"]


@dataclass(frozen=True)
class Extractor:
    """A function from images to features.

    Attributes:
      name: 'Inception 2015', or the name of the file.
      is_canonical: whether the features are those that FID and KID are defined with.
      features: the function, of uint8 images or of floating-point ones in [0, 1]; these are rounded
        to bytes first, as saving them to a file would do.
    """

    name: str
    is_canonical: bool
    features: Callable[[Pictures], Features]


def load(path: str | Path, *, batch_size: int = 50) -> Extractor:
    """Opens a network that computes features: on a GPU if PyTorch has one, else on the CPU.

    Args:
      path: the file from `URL`, or another TorchScript file with its signature: it takes uint8
        images [N, 3, H, W] and `return_features=True`, and returns features [N, D].
      batch_size: images at a time, which affects rounding only.

    Returns:
      The extractor, which is deterministic.

    Raises:
      InputError: the file is missing, it is no such network, or PyTorch is not installed.
    """
    path = Path(path)
    is_canonical = _digest(path) == SHA256
    try:
        import torch
    except ImportError:
        raise InputError(
            f"{path} needs PyTorch, which is not installed; pip install 'discogan_jax[fid]'."
        ) from None
    # Try the network on two images, so that a wrong file is found at once.
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        with warnings.catch_warnings():  # newer versions announce the end of TorchScript
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(str(path), map_location=device).eval()
        found = _run(torch, network, device, np.zeros((2, 32, 32, 3), np.uint8))
        if found.ndim != 2 or len(found) != 2:
            raise RuntimeError(f"two images give an array of shape {found.shape}")
    # PyTorch's message for a wrong file is long: the first sentence of the last line explains it.
    except (RuntimeError, ValueError, AttributeError, torch.jit.Error) as error:
        if host.out_of_memory(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].split(". ")[0]
        raise InputError(
            f"{path} is no TorchScript network from images to features ({reason}); "
            f"give the file from {URL}."
        ) from error

    def features(x: Pictures) -> Features:
        pictures = x if x.dtype == np.uint8 else images.to_uint8(x)
        run = functools.partial(_run, torch, network, device)
        return images.in_batches(run, pictures, batch_size)

    return Extractor("Inception 2015" if is_canonical else path.name, is_canonical, features)


def distances(made: Features, real: Features, extractor: Extractor) -> dict[str, Estimate]:
    """Measures how far features of generated images are from those of real ones.

    Args:
      made: features of generated images.
      real: features of real ones. The Fréchet distance is biased upwards, the more the fewer images
        there are; compare it with that of two halves of the real ones
        (`baselines.between_halves`), at equal numbers.
      extractor: the source of the features.

    Returns:
      'FID' and 'KID' for the canonical features; other names mention the extractor's file.

    Raises:
      ValueError: if a set has fewer than 4 images.
    """
    of = f" (features of {extractor.name})"
    return {
        "FID" if extractor.is_canonical else f"Fréchet distance{of}": frechet_distance(made, real),
        "KID" if extractor.is_canonical else f"kernel distance{of}": kernel_distance(made, real),
    }


def _run(
    torch: Any, network: Any, device: str, x: UInt8[np.ndarray, "n H W 3"]
) -> Float32[np.ndarray, "..."]:
    batch = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(device)
    # Unoptimized: PyTorch profiles the first calls, which would then round differently from later
    # ones.
    with (
        torch.inference_mode(),
        torch.jit.optimized_execution(False),
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        return network(batch, return_features=True).float().cpu().numpy()


def _digest(path: Path) -> str:
    try:
        return sha256(path)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; fetch it from {URL}.") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give the file from {URL}."
        ) from error
