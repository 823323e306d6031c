"""What is let through to Gradio: the requests of its own page, and files of this server alone.

Gradio 6 serves more than one page needs: it fetches any address that a client names, in a file's
path or behind `/file=`, proxies, runs an API with its documentation, and counts visits.
"""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 64 * 1024
"""Of everything but an upload, and of what surrounds a file in one."""

_FILE = "/gradio_api/file="
_JOIN = "/gradio_api/queue/join"
_UPLOAD = "/gradio_api/upload"
_PATHS = re.compile(
    r"/(|config|login|logout|theme\.css|favicon\.ico|manifest\.json|robots\.txt"
    r"|(assets|static|svelte)/.*"
    r"|gradio_api/(upload|upload_progress|queue/join|queue/data|heartbeat/[^/]*|cancel|reset"
    r"|login_check|user|file=.*))",
    re.DOTALL,
)
# The browser asks nobody else for anything, whatever stands in the page.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)


class Gate:
    """An ASGI application in front of another."""

    def __init__(
        self, app: ASGIApp, folder: Path, max_upload: int, hosts: Collection[str] | None
    ) -> None:
        """Remembers what is behind it and what may pass.

        Args:
          app: Gradio's.
          folder: where uploads and results are; no other file may be named.
          max_upload: bytes of an uploaded file.
          hosts: names that a browser may know this server by; None for any. Pages of others cannot
            make a browser read from here through a name of their own, then.
        """
        self._app = app
        self._folder = folder.resolve()
        self._max_upload = max_upload
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            receive = await self._checked(scope, receive)
        except HTTPException as error:
            response = PlainTextResponse(error.detail, error.status_code)
            await response(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message["headers"])["Content-Security-Policy"] = _POLICY
            await send(message)

        await self._app(scope, receive, answer)

    async def _checked(self, scope: Scope, receive: Receive) -> Receive:
        """What the application receives of a request that may pass; raises HTTPException if not."""
        path = scope["path"].rstrip("/") or "/"
        request = Request(scope)
        if self._hosts is not None and request.url.hostname not in self._hosts:
            raise HTTPException(400, "This server has another name.")
        if not _PATHS.fullmatch(path):
            raise HTTPException(404, "There is nothing here.")
        if path.startswith(_FILE):
            self._check_file(path.removeprefix(_FILE))
        limit = MAX_BODY + (self._max_upload if path == _UPLOAD else 0)
        if int(request.headers.get("content-length", 0)) > limit:
            raise _too_large(limit)
        receive = _limited(receive, limit)
        if path != _JOIN:
            return receive
        try:
            data = json.loads(await Request(scope, receive).body())
            for named in _named_files(data):
                self._check_file(named)
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, "This is no JSON.") from error
        # Written anew: whatever reads it there finds what was found here.
        return _replaying(json.dumps(data).encode(), receive)

    def _check_file(self, named: Any) -> None:
        """Refuses addresses, and files that are not this server's."""
        try:
            inside = Path(named).resolve().is_relative_to(self._folder)
        except (OSError, TypeError, ValueError):
            inside = False
        if not inside:
            raise HTTPException(403, "This file is not served.")


def _named_files(data: Any) -> Iterator[Any]:
    """The paths of files, as Gradio's clients name them, at any depth."""
    if isinstance(data, dict):
        if "path" in data:
            yield data["path"]
        data = list(data.values())
    if isinstance(data, list):
        for inner in data:
            yield from _named_files(inner)


def _limited(receive: Receive, limit: int) -> Receive:
    """The same, until it has brought too many bytes: a length may be missing, or a lie."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(limit)
        return message

    return limited


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Brings a body in place of the one that was read, then what comes after it."""
    waiting = [body]

    async def replaying() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replaying


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"Too large: {limit:,} bytes are the limit.")
