"""Files from elsewhere are never unpickled, since a pickle can run any code."""

import contextlib
import gc
import io
import os
import pickle

import fuzz
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from discogan_jax import images, sharding
from discogan_jax.data import sources
from discogan_jax.data.pix2pix import tar
from discogan_jax.errors import InputError
from discogan_jax.evaluation.metrics import inception
from discogan_jax.runs import checkpoint, reading
from discogan_jax.runs import manifest as runs_manifest


class Payload:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path):
    """The folder that the payload would create; it must not exist at the end of the test."""
    yield tmp_path / "mark"
    assert not (tmp_path / "mark").exists()


@pytest.fixture
def payload(mark):
    return pickle.dumps(Payload(mark))


def test_the_payload_works(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "other")))
    assert (tmp_path / "other").is_dir()


def test_arrays(tmp_path, mark, payload):
    objects, zipped = io.BytesIO(), io.BytesIO()
    array = np.array([Payload(mark)], object)
    np.save(objects, array, allow_pickle=True)
    np.savez(zipped, train=array)
    for i, data in enumerate((objects.getvalue(), zipped.getvalue(), payload)):
        for split in ("train", "val"):
            (tmp_path / f"{split}.npy").write_bytes(data)
        with fuzz.watched(tmp_path) as found, pytest.raises(InputError, match=r"train\.npy"):
            sources.load(f"arrays:{tmp_path}", image_size=16, data_dir=tmp_path / str(i))
        assert found == []


def test_pictures_and_archives(tmp_path, payload):
    path = tmp_path / "edges2shoes.tar.gz"
    path.write_bytes(payload)
    with fuzz.watched(tmp_path) as found:
        with pytest.raises(InputError, match="cannot be read"):
            images.read(payload)
        with pytest.raises(InputError, match="damaged"):
            list(tar.members(path, fuzz.ARCHIVE))
    assert found == []


def test_inception(tmp_path, mark, payload):
    torch = pytest.importorskip("torch", reason="the extra `fid` is not installed")
    path = tmp_path / "network.pt"
    torch.save(Payload(mark), path)
    for data in (path.read_bytes(), payload):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"network\.pt is no TorchScript network"):
            inception.load(path)


# Orbax's threads outlive a failed restore, and then find their event loop closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_checkpoints(tmp_path, mark, payload):
    """A pickle in place of any file of a checkpoint, with a manifest that vouches for it."""
    gan = tiny.gan()
    # A checkpoint knows its step.
    state, folder = tiny.state(gan).replace(step=jnp.int32(1)), tmp_path / "checkpoints"
    with checkpoint.Checkpoints(folder, keep=2, keep_every=0) as checkpoints:
        checkpoints.save(1, state)
    where = sharding.replicated(sharding.data_mesh(jax.local_devices()[:1]))
    shapes = jax.eval_shape(lambda: state)
    reading.read(folder, shapes, where, 1)
    step = folder / "1"
    tree, manifest = runs_manifest.tree(step), step / runs_manifest.MANIFEST_FILE
    files = [path for path in step.rglob("*") if path.is_file() and path != manifest]
    assert files
    for path in files:
        before = path.read_bytes()
        path.write_bytes(payload)
        manifest.unlink()
        runs_manifest.seal(step, tree)
        # Suppressed: it raises, unless the file is never read.
        with fuzz.watched(tmp_path) as found, contextlib.suppress(Exception):
            reading.read(folder, shapes, where, 1)
        assert not [event for event in found if event.startswith("pickle")]
        path.write_bytes(before)
    gc.collect()  # collects what Orbax left unfinished, so that its warnings appear here
