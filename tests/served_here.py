"""Serves the page of `discogan serve` in this process, and visits it without a browser."""

import asyncio
import base64
import contextlib
import io
import threading

import jax
import jax.numpy as jnp
import numpy as np
import requests
import runs_here
from PIL import Image

from discogan_jax import images, runs
from discogan_jax.config import build, schema
from discogan_jax.runs import checkpoint
from discogan_jax.runs import run as running
from discogan_jax.runs.layout import CHECKPOINTS
from discogan_jax.serve import checkpoints, server
from discogan_jax.state import create_state

SECONDS = 60


def made(folder, **changes):
    """A run with checkpoints of steps 1 and 2, which nobody trained: that takes longer."""
    data = runs_here.write_arrays(folder / "data")
    config = runs_here.config(data, train__steps=2, **changes)
    s = schema.from_config(config)
    running.begin(folder / "run", s)
    create = jax.jit(create_state, static_argnums=(1, 2))
    with checkpoint.Checkpoints(folder / "run" / CHECKPOINTS, keep=9, keep_every=0) as saved:
        for step in (1, 2):
            state = create(jax.random.key(step), build.gan(s), build.image_shape(s))
            saved.save(step, state.replace(step=jnp.int32(step)))
    return runs.open(folder / "run")


@contextlib.contextmanager
def served(path, password=None, address="127.0.0.1"):
    """The page of a run, or of an open one, at an address; the server runs in a thread."""
    cache = path if isinstance(path, checkpoints.CheckpointCache) else None
    serving = server.server(cache or checkpoints.CheckpointCache(path), address, password)
    with server.listen(address, 0) as place:
        thread = threading.Thread(target=asyncio.run, args=[serving.serve([place])])
        thread.start()
        try:
            yield f"http://{address}:{place.getsockname()[1]}"
        finally:
            serving.should_exit = True
            thread.join(SECONDS)
            assert not thread.is_alive()


class Visitor:
    """Does what the page does in a browser."""

    def __init__(self, url):
        self.url, self.http = url, requests.Session()

    def get(self, path, **kw):
        return self.http.get(f"{self.url}/{path}", timeout=SECONDS, **kw)

    def post(self, path, data=None, **kw):
        return self.http.post(f"{self.url}/{path}", data, timeout=SECONDS, **kw)

    def send(self, content, direction="ab", step=None, **kw):
        query = {"direction": direction} | ({} if step is None else {"step": step})
        return self.post("translate", content, params=query, **kw)

    def translate(self, content, direction="ab", step=None):
        """What the page shows: the step, and the pictures."""
        answer = self.send(content, direction, step)
        answer.raise_for_status()
        found = answer.json()
        return found["step"], [decoded(picture) for picture in found["pictures"]]


def decoded(url):
    kind, _, text = url.partition(",")
    assert kind == "data:image/png;base64"
    return images.read(base64.b64decode(text))


def png(seed=0, size=(40, 24)):
    noise = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise))


def encoded(picture):
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
