"""The page's routes: the page itself, facts about the run, examples, and translations."""

import asyncio
import base64
import contextlib
import io
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from discogan_jax import host
from discogan_jax.errors import InputError, printable
from discogan_jax.images import FORMATS, MAX_PIXELS
from discogan_jax.runs.translating import describe
from discogan_jax.serve import assets
from discogan_jax.serve.access import BUSY, read_body
from discogan_jax.serve.quota import visitor

if TYPE_CHECKING:
    from discogan_jax.serve.checkpoints import CheckpointCache, Picture

MAX_UPLOAD = 32 << 20
"""Bytes of the largest file that is taken."""

AT_ONCE, AT_ONCE_EACH = 3, 2
"""Number of pictures that are translated at the same time, of all visitors and of each."""

MAX_WAITING = 32
"""Number of further pictures that may wait; later requests are refused with status 503."""

WAIT_SECONDS = 60.0
"""Time that they wait for their turn; they are refused afterwards."""


class Page:
    """Answers what the page asks for. Pictures are kept in memory, and only while they are used.

    Attributes:
      routes: the paths that are answered.
    """

    def __init__(self, cache: "CheckpointCache", *, has_login: bool) -> None:
        """Reads the examples.

        Args:
          cache: what pictures are translated with.
          has_login: whether the page shows a way to log out.
        """
        self._cache = cache
        self._has_login = has_login
        examples = {
            f"{domain}/{i}": picture
            for domain, pictures in cache.examples().items()
            for i, picture in enumerate(pictures)
        }
        self._examples = {name: _png(picture) for name, picture in examples.items()}
        # Those are prepared already, and recognised by their bytes.
        self._prepared = dict(zip(self._examples.values(), examples.values(), strict=True))
        self._inside = 0
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._own_turns: WeakValueDictionary[bytes, asyncio.Semaphore] = WeakValueDictionary()
        self.routes = [
            Route("/", lambda _: HTMLResponse(assets.PAGE)),
            Route("/about", self._about),
            Route("/example/{name:path}", self._example),
            Route("/translate", self._translate, methods=["POST"]),
        ]

    def _about(self, _: Request) -> Response:
        """Describes the run. Checkpoints are looked up each time: training may be going on."""
        newest = self._cache.newest
        return JSONResponse(
            {
                "domains": newest.domains,
                "directions": {d: self._labels(d) for d in newest.directions},
                "steps": self._cache.steps(),
                "size": newest.preparations[newest.directions[0][0]].size,
                "prepared": describe(newest),
                "examples": list(self._examples),
                "catalogue": self._catalogue(),
                "kinds": FORMATS,
                "max_bytes": MAX_UPLOAD,
                "max_pixels": MAX_PIXELS,
                "at_once": AT_ONCE_EACH,
                "has_login": self._has_login,
            }
        )

    def _catalogue(self) -> dict[str, Any] | None:
        """Describes the catalogue: its domain and number of pictures; None if there is none."""
        cache = self._cache
        if cache.catalogue is None:
            return None
        return {
            "domain": cache.newest.domains.name(cache.to),
            "pictures": len(cache.catalogue.names),
        }

    def _labels(self, direction: str) -> list[str]:
        """Names the pictures that a translation shows: taken, made and, if there is one, back."""
        newest = self._cache.newest
        back = [direction + direction[0]] if direction[::-1] in newest.directions else []
        return [newest.domains.route(path) for path in (direction[0], direction, *back)]

    async def _example(self, request: Request) -> Response:
        picture = self._examples.get(request.path_params["name"])
        if picture is None:
            raise HTTPException(404, "There is no such example.")
        return Response(picture, media_type="image/png")

    async def _translate(self, request: Request) -> Response:
        """Translates the picture that is the request's body, as soon as it is its turn."""
        # Refuse what this run cannot do, and what would have to wait too long.
        direction = request.query_params.get("direction", "")
        if direction not in self._cache.newest.directions:
            known = " or ".join(self._cache.newest.directions)
            raise HTTPException(400, f"The direction {direction!r} is none of this run's: {known}.")
        step = _whole_number(request.query_params.get("step", ""))
        size = request.query_params.get("size", "model")
        if size not in ("model", "input"):
            raise HTTPException(400, "The size is neither model nor input.")
        if self._inside >= AT_ONCE + MAX_WAITING:
            raise HTTPException(503, BUSY)
        # Read the picture while others are translated, then wait for a turn.
        self._inside += 1
        try:
            picture = await read_body(request, MAX_UPLOAD)
            async with self._turn(visitor(request.scope["client"])):
                if await request.is_disconnected():
                    return Response(status_code=408)  # nobody reads it
                return await asyncio.to_thread(
                    self._shown, picture, direction, step, size == "input"
                )
        except InputError as error:
            raise HTTPException(422, str(error)) from error
        except Exception as error:
            if not (explained := host.explain(error)):
                raise
            raise HTTPException(503, explained) from error
        finally:
            self._inside -= 1

    @contextlib.asynccontextmanager
    async def _turn(self, who: bytes) -> AsyncIterator[None]:
        """Waits for a turn of a visitor, then for one of all; one is always left for others."""
        own = self._own_turns.setdefault(who, asyncio.Semaphore(AT_ONCE_EACH))
        async with contextlib.AsyncExitStack() as turns:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await turns.enter_async_context(own)
                    await turns.enter_async_context(self._turns)
            except TimeoutError:
                raise HTTPException(503, BUSY) from None
            yield

    def _shown(
        self, content: bytes, direction: str, step: int | None, at_input_size: bool
    ) -> Response:
        picture = self._prepared.get(content, content)
        shown = self._cache.show(picture, direction, step, at_input_size)
        pictures = [_data_url(x) for x in shown.pictures]
        answer: dict[str, Any] = {"step": shown.step, "pictures": pictures}
        if shown.found is not None:
            answer["matches"] = [
                {
                    "name": printable(found.match.name, ""),
                    "distance": found.match.distance,
                    "picture": _data_url(found.picture),
                }
                for found in shown.found
            ]
        return JSONResponse(answer)


def _whole_number(text: str) -> int | None:
    """Reads the step; None if there is none, which stands for the newest one."""
    try:
        return int(text) if text else None
    except ValueError:
        raise HTTPException(400, "The step is no whole number.") from None


def _data_url(picture: "Picture") -> str:
    return f"data:image/png;base64,{base64.b64encode(_png(picture)).decode()}"


def _png(picture: "Picture") -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "PNG")
    return file.getvalue()
