"""Controls access: which requests are answered, and how much they may send."""

import asyncio
import contextlib
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from discogan_jax.serve import assets
from discogan_jax.serve.connection import PIECE
from discogan_jax.serve.quota import Quota, visitor

MAX_FORM = 64 * 1024
"""Bytes of the largest login form that is read."""

SECONDS = 10.0
"""Time within which the body of a request has to arrive, beside that which `RATE` gives it."""

RATE = 50_000
"""Bytes of a body that have to arrive in a second."""

REQUESTS, REQUESTS_EACH = 64, 16
"""Number of requests that are answered at the same time, of all visitors and of each."""

BYTES, BYTES_EACH = 256 << 20, 64 << 20
"""Bytes of their bodies that are in memory at the same time."""

GUESSES, GUESSES_EACH = 600, 10
"""Number of wrong passwords that are answered in `GUESS_SECONDS`."""

GUESS_SECONDS = 60.0

BUSY = "The server is busy with others: try again in a moment."

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?")
_HEADERS = {
    "Content-Security-Policy": assets.POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    # With "no-referrer" a browser would hide the origin of the login form as well.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Access:
    """Stands in front of an ASGI application, and lets only some requests through."""

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str] | None = None, password: str | None = None
    ) -> None:
        """Sets who may pass.

        Args:
          app: the application behind.
          hosts: the only names that a browser may know this server by; any name if None. Without a
            password they are needed: a page elsewhere could lead a name of its own to this machine
            and read what is served here.
          password: what everybody has to type first; nothing is asked if None.
        """
        self._app = app
        self._hosts = hosts
        self._password = password
        self._sessions: set[bytes] = set()  # digests of the cookies of those who are logged in
        self._requests = Quota(REQUESTS, REQUESTS_EACH)
        self._bytes = Quota(BYTES, BYTES_EACH)
        self._guesses = Quota(GUESSES, GUESSES_EACH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it."""
        who, send = visitor(scope["client"]), _dressed(send)
        if not self._requests.take(who):
            return await PlainTextResponse(BUSY, 503)(scope, receive, send)
        sizes: list[int] = []

        async def receive_some() -> Message:
            message = await receive()
            if not self._bytes.take(who, size := len(message.get("body", b""))):
                raise HTTPException(503, "Too much is uploaded at once: try again in a moment.")
            sizes.append(size)
            return message

        # Whoever hangs up gets no answer, and leaves no traceback.
        try:
            with contextlib.suppress(ClientDisconnect):
                await self._pass(scope, receive_some, send)
        finally:
            self._bytes.give_back(who, sum(sizes))
            self._requests.give_back(who)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(Request(scope, receive))
        except HTTPException as error:
            answer = PlainTextResponse(error.detail, error.status_code)
        await (answer or self._app)(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """Answers what does not concern the application; None lets a request through."""
        host = request.headers.get("host", "").lower()
        self._check_host(host)
        _check_origin(request, host)
        if self._password is None:
            return None

        # Browsers give a server's cookies to every port of its host.
        cookie = f"discogan-{request.scope['server'][1]}"
        path = request.scope["path"]
        session = _digest(request.cookies.get(cookie, ""))
        # What the forms send.
        if (request.method, path) == ("POST", "/login"):
            return await self._log_in(request, cookie)
        if (request.method, path) == ("POST", "/logout"):
            self._sessions.discard(session)
            left = RedirectResponse("./", 303)
            left.delete_cookie(cookie)
            return left
        # Those who have logged in, and those who have not.
        if session in self._sessions:
            return None
        if path == "/":
            return HTMLResponse(assets.login(), 401)
        raise HTTPException(401, "The password is needed first: load the page again.")

    def _check_host(self, host: str) -> None:
        found = _HOST.fullmatch(host)
        if not found or (self._hosts is not None and found[1] not in self._hosts):
            raise HTTPException(
                400, "This server is not known by that name: use the address that it printed."
            )

    async def _log_in(self, request: Request, cookie: str) -> Response:
        form = await read_body(request, MAX_FORM)
        typed = parse_qs(form.decode(errors="replace")).get("password", [""])[0]
        assert self._password is not None
        # A guess that is wrong delays nobody else; many of them are not even looked at.
        who = visitor(request.scope["client"])
        if not self._guesses.take(who):
            return HTMLResponse(assets.login("Too many wrong passwords: wait a minute."), 429)
        if not _same(typed, self._password):
            asyncio.get_running_loop().call_later(GUESS_SECONDS, self._guesses.give_back, who)
            return HTMLResponse(assets.login("That is not the password. Try again."), 401)
        self._guesses.give_back(who)
        entered = RedirectResponse("./", 303)
        token = secrets.token_urlsafe()
        self._sessions.add(_digest(token))
        entered.set_cookie(cookie, token, httponly=True, samesite="strict")
        return entered


def _dressed(send: Send) -> Send:
    """Adds the headers of all answers, and sends long ones piece by piece, as they are taken."""

    async def send_pieces(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(raw=message["headers"]).update(_HEADERS)
            return await send(message)
        body, more = message.get("body", b""), message.get("more_body", False)
        for at in range(0, len(body) or 1, PIECE):
            rest = at + PIECE < len(body)
            await send({**message, "body": body[at : at + PIECE], "more_body": rest or more})

    return send_pieces


def _same(typed: str, expected: str) -> bool:
    """Compares secrets in a time that tells nothing of them, their length included."""
    return hmac.compare_digest(_digest(typed), _digest(expected))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()


def _check_origin(request: Request, host: str) -> None:
    """Refuses what a page of another server makes a browser send here."""
    if request.method in ("GET", "HEAD"):
        return
    site, origin = (request.headers.get(name) for name in ("sec-fetch-site", "origin"))
    if site is not None:  # newer browsers, at addresses that they trust
        ours = site in ("same-origin", "none")
    else:  # no browser sends neither with a POST
        ours = origin is None or origin.lower() == f"http://{host}"
    if not ours:
        raise HTTPException(403, "This came from a page of another server and is refused.")


async def read_body(request: Request, limit: int) -> bytes:
    """Reads the body of a request, whose stated length may be missing or a lie.

    Args:
      request: the request.
      limit: the most bytes that the body may have.

    Returns:
      The bytes.

    Raises:
      HTTPException: the body is too large or takes too long.
    """
    too_large = HTTPException(413, f"Too large: the limit is {limit:,} bytes.")
    if int(request.headers.get("content-length", 0)) > limit:
        raise too_large
    # Count what arrives.
    body = bytearray()
    start = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(start + SECONDS) as deadline:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
                deadline.reschedule(start + SECONDS + len(body) / RATE)
    except TimeoutError:
        raise HTTPException(408, f"Too slow: it has to be {RATE:,} bytes a second.") from None
    return bytes(body)
