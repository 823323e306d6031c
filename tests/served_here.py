"""Serves the page of `discogan serve` in this process, and visits it without a browser."""

import asyncio
import contextlib
import io
import json
import os
import queue
import threading

import jax
import numpy as np
import requests
import runs_here
from PIL import Image

from discogan_jax import images, runs, serve
from discogan_jax.config import build, schema
from discogan_jax.runs import checkpoint, run
from discogan_jax.runs.layout import CHECKPOINTS
from discogan_jax.state import create_state
from discogan_jax.web import shelf

SECONDS = 60


def made(folder):
    """A run with checkpoints of steps 1 and 2, which nobody trained: that takes longer."""
    data = runs_here.write_arrays(folder / "data")
    config = runs_here.config(data, train__steps=2)
    run.begin(folder / "run", config)
    s = schema.from_config(config)
    create = jax.jit(create_state, static_argnums=(1, 2))
    with checkpoint.Checkpoints(folder / "run" / CHECKPOINTS, keep=9, keep_every=0) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, create(jax.random.key(step), build.gan(s), build.image_shape(s)))
    return runs.open(folder / "run")


@contextlib.contextmanager
def served(path, password=None):
    """The page of a run at an address; the server runs in a thread."""
    ready = queue.Queue()

    async def main():
        with serve.server(shelf.Shelf(path), password) as server:
            ready.put(server)
            await server.serve([place])

    with serve.listen("127.0.0.1", 0) as place:
        thread = threading.Thread(target=asyncio.run, args=[main()])
        thread.start()
        server = ready.get(timeout=SECONDS)
        try:
            yield f"http://127.0.0.1:{place.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(SECONDS)
            assert not thread.is_alive()


class Visitor:
    """Does what the page does in a browser."""

    def __init__(self, url):
        self.url, self.http, self.name = url, requests.Session(), os.urandom(5).hex()

    def get(self, path, **kw):
        return self.http.get(f"{self.url}/{path}", timeout=SECONDS, **kw)

    def post(self, path, **kw):
        return self.http.post(f"{self.url}/gradio_api/{path}", timeout=SECONDS, **kw)

    def upload(self, content, name="picture.png"):
        return self.post("upload", files={"files": (name, content)})

    def join(self, picture, direction="ab", step=None):
        (index,) = (
            d["id"]
            for d in self.get("config").json()["dependencies"]
            if any(event == "input" for _, event in d["targets"])
        )
        data = {"data": [picture, direction, step], "fn_index": index, "session_hash": self.name}
        return self.post("queue/join", json=data)

    def translate(self, content, direction="ab", step=None, name="picture.png"):
        """What the page shows: pictures, texts, and the messages on top of it."""
        (path,) = self.upload(content, name).json()
        picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
        self.join(picture, direction, step).raise_for_status()
        events = self.get(f"gradio_api/queue/data?session_hash={self.name}", stream=True)
        messages = []
        for line in events.iter_lines():
            event = json.loads(line.removeprefix(b"data: ")) if line else {}
            if event.get("msg") == "log":
                messages.append(event["log"])
            if event.get("msg") == "process_completed":
                assert event["success"]
                _, *pictures, said = event["output"]["data"]
                return pictures, said, messages
        raise AssertionError("the server said nothing")

    def picture(self, update):
        found = self.get(f"gradio_api/file={update['value']['path']}")
        return images.read(found.content)


def png(seed=0, size=(40, 24)):
    noise = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise))


def encoded(picture):
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
