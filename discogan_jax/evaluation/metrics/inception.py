"""Inception features, so that a run's Fréchet and kernel distances may be called FID and KID.

The network is the one that FID was defined with (Heusel et al. 2017, arXiv 1706.08500), made into
a TorchScript file by NVIDIA: 96 MB at `URL`, to be fetched by hand. PyTorch runs it, the extra
`fid`. Any other TorchScript file that is called in the same way may be used; what is measured with
it is named after that file.
"""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Num, UInt8

from discogan_jax import images
from discogan_jax.errors import InputError
from discogan_jax.evaluation.metrics.features import Estimate, frechet_distance, kernel_distance

# As in GaParmar/clean-fid, cleanfid/inception_torchscript.py.
URL = (
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/"
    "inception-2015-12-05.pt"
)
# Of the file at `URL`, as crowsonkb/k-diffusion has it in k_diffusion/evaluation.py.
SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"

Pictures = Num[np.ndarray, "N H W 3"]
Features = Float32[np.ndarray, "N D"]


@dataclass(frozen=True)
class Extractor:
    """What turns images into features.

    Attributes:
      name: 'Inception 2015', or the name of the file.
      earned: whether the features are those that FID and KID are defined with.
      features: of images, uint8 or floating point in [0, 1]; the latter are rounded to bytes
        first, as files of them would be.
    """

    name: str
    earned: bool
    features: Callable[[Pictures], Features]


def load(path: str | Path, *, batch_size: int = 50) -> Extractor:
    """Opens a network for features: on a GPU if PyTorch has one, else on the CPU.

    Args:
      path: the file from `URL`, or another TorchScript file called like it: with uint8 images
        [N, 3, H, W] and `return_features=True`, for features [N, D].
      batch_size: images at a time; changes rounding alone.

    Returns:
      The extractor; deterministic.

    Raises:
      InputError: the file is missing or no such file, or PyTorch is not installed.
    """
    path = Path(path)
    earned = _digest(path) == SHA256
    try:
        import torch
    except ImportError:
        raise InputError(
            f"{path} is run by PyTorch, which is not installed; pip install 'discogan_jax[fid]'."
        ) from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        with warnings.catch_warnings():  # newer ones announce the end of TorchScript
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(str(path), map_location=device).eval()
        found = _run(torch, network, device, np.zeros((2, 32, 32, 3), np.uint8))
        if found.ndim != 2 or len(found) != 2:
            raise RuntimeError(f"two images give an array of shape {found.shape}")
    except torch.cuda.OutOfMemoryError:
        raise
    # PyTorch's words for a wrong file; the last line tells, its first sentence is enough.
    except (RuntimeError, ValueError, AttributeError, torch.jit.Error) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[-1].split(". ")[0]
        raise InputError(
            f"{path} is no TorchScript network from images to features ({said}); "
            f"give the file from {URL}."
        ) from error

    def features(x: Pictures) -> Features:
        pictures = x if x.dtype == np.uint8 else images.to_uint8(x)
        parts = [
            _run(torch, network, device, pictures[start : start + batch_size])
            for start in range(0, len(pictures), batch_size)
        ]
        return np.concatenate(parts)

    return Extractor("Inception 2015" if earned else path.name, earned, features)


def distances(made: Features, real: Features, extractor: Extractor) -> dict[str, Estimate]:
    """How far features of generated images are from those of real ones.

    Args:
      made: of generated images.
      real: of real ones. The Fréchet distance is biased upwards, the more the fewer images there
        are; read it beside that of two halves of the real ones (`realism.between_halves`), at
        equal numbers.
      extractor: where the features are from.

    Returns:
      'FID' and 'KID' if the extractor has earned these names, else names that tell its file.

    Raises:
      ValueError: if a set has fewer than 4 images.
    """
    of = f" (features of {extractor.name})"
    return {
        "FID" if extractor.earned else f"Fréchet distance{of}": frechet_distance(made, real),
        "KID" if extractor.earned else f"kernel distance{of}": kernel_distance(made, real),
    }


def _run(
    torch: Any, network: Any, device: str, x: UInt8[np.ndarray, "n H W 3"]
) -> Float32[np.ndarray, "..."]:
    batch = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(device)
    # Unoptimized: else the first calls, which PyTorch learns from, round otherwise than later ones.
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
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; fetch it from {URL}.") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give the file from {URL}."
        ) from error
