"""The names FID and KID, and the file that a TorchScript network comes from."""

import builtins
import hashlib

import numpy as np
import pytest

from discogan_jax.errors import InputError
from discogan_jax.evaluation.metrics import baselines, features, inception


def pictures(count=12, seed=0):
    return np.random.default_rng(seed).random((count, 16, 16, 3), np.float32)


def stand_in(is_canonical):
    """Mean colours: features of a kind, no network."""
    name = "Inception 2015" if is_canonical else "mine.pt"
    return inception.Extractor(name, is_canonical, lambda x: x.mean((1, 2)).astype(np.float32))


def test_only_the_features_of_2015_are_called_fid_and_kid():
    made, real = (stand_in(True).features(pictures(seed=seed)) for seed in (1, 2))
    found = inception.distances(made, real, stand_in(True))
    assert found == {
        "FID": features.frechet_distance(made, real),
        "KID": features.kernel_distance(made, real),
    }
    named = inception.distances(made, real, stand_in(False))
    assert list(named) == [
        "Fréchet distance (features of mine.pt)",
        "kernel distance (features of mine.pt)",
    ]
    assert list(named.values()) == list(found.values())


def test_distances_tell_and_stand_beside_halves_of_the_real_ones():
    extractor = stand_in(True)
    real = extractor.features(pictures(40))
    darker = extractor.features(pictures(40, seed=1) * np.float32(0.5))
    halves = baselines.between_halves(lambda x, y: inception.distances(x, y, extractor), real)
    for name, far in inception.distances(darker, real, extractor).items():
        assert far.low > halves[name].high


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pt: there is no such file; fetch it from https:"):
        inception.load(tmp_path / "none.pt")
    with pytest.raises(InputError, match="is a folder; name a file"):
        inception.load(tmp_path)


def test_without_pytorch_the_message_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "some.pt"
    path.write_bytes(b"anything")
    importing = builtins.__import__

    def no_torch(name, *args, **kwargs):
        if name == "torch":
            raise ImportError(name)
        return importing(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_torch)
    with pytest.raises(InputError, match=r"not installed; pip install 'discogan_jax\[fid\]'"):
        inception.load(path)


def small(torch, pooled=True):
    """A small network that is called as the real file is, and resizes as it does."""

    class Small(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.pooled = pooled
            self.conv = torch.nn.Conv2d(3, 8, 3, 2, bias=False)
            weight = torch.randn((8, 3, 3, 3), generator=torch.Generator().manual_seed(0))
            self.conv.weight = torch.nn.Parameter(weight)

        def forward(self, img, return_features: bool = False):
            x = torch.nn.functional.interpolate(img.float(), (19, 19), mode="bilinear")
            x = torch.relu(self.conv((x - 128) / 128))
            if self.pooled:
                x = x.mean((2, 3))
            if return_features:
                return x
            return torch.softmax(x, 1)

    return torch.jit.script(Small())


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
class TestWithPyTorch:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch", reason="the extra `fid` is not installed")

    @pytest.fixture
    def path(self, torch, tmp_path):
        small(torch).save(tmp_path / "small.pt")
        return tmp_path / "small.pt"

    def test_features_of_a_file(self, torch, path):
        extractor = inception.load(path, batch_size=5)
        assert (extractor.name, extractor.is_canonical) == ("small.pt", False)
        x = pictures()
        found = extractor.features(x)
        assert (found.shape, found.dtype) == ((12, 8), np.float32)
        bytes_ = np.rint(x * 255).astype(np.uint8)
        np.testing.assert_array_equal(extractor.features(bytes_), found)
        for _ in range(3):
            np.testing.assert_array_equal(extractor.features(x), found)
        whole = inception.load(path).features(x)
        np.testing.assert_allclose(found, whole, rtol=1e-5)
        network = torch.jit.load(path)
        expected = network(torch.tensor(bytes_).permute(0, 3, 1, 2), return_features=True)
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-5)

    def test_the_digest_decides_the_name(self, path, monkeypatch):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(inception, "SHA256", digest)
        extractor = inception.load(path.rename(path.with_name("any name")))
        assert (extractor.name, extractor.is_canonical) == ("Inception 2015", True)

    def test_other_files_are_refused(self, torch, tmp_path):
        path = tmp_path / "weights.pth"
        torch.save({"weight": torch.zeros(3)}, path)
        with pytest.raises(InputError, match=r"weights\.pth is no TorchScript network"):
            inception.load(path)
        path.write_bytes(b"not even that")
        with pytest.raises(InputError, match=r"weights\.pth is no TorchScript network"):
            inception.load(path)
        torch.jit.script(torch.nn.Conv2d(3, 8, 3)).save(path)
        with pytest.raises(InputError, match="expected at most 2 argument"):
            inception.load(path)
        small(torch, pooled=False).save(path)
        with pytest.raises(InputError, match=r"array of shape \(2, 8, 9, 9\)"):
            inception.load(path)
