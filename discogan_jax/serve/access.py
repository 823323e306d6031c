"""Controls access: which requests are answered, and how much they may send."""

import asyncio
import contextlib
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

MAX_FORM = 64 * 1024
"""Bytes of the largest login form that is read."""

BODY_SECONDS = 300
"""Time within which the body of a request has to arrive."""

GUESS_SECONDS = 1.0
"""Delay after a wrong password; the next guess has to wait for it, too."""

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
        self._token = secrets.token_urlsafe()
        self._one_guess = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message["headers"]).update(_HEADERS)
            await send(message)

        request = Request(scope, receive)
        # Whoever hangs up gets no answer, and leaves no traceback.
        with contextlib.suppress(ClientDisconnect):
            try:
                answer = await self._answer(request)
            except HTTPException as error:
                answer = PlainTextResponse(error.detail, error.status_code)
            await (answer or self._app)(scope, receive, send_with_headers)

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
        # What the forms send.
        if (request.method, path) == ("POST", "/login"):
            return await self._log_in(request, cookie)
        if (request.method, path) == ("POST", "/logout"):
            left = RedirectResponse("./", 303)
            left.delete_cookie(cookie)
            return left
        # Those who have logged in, and those who have not.
        known = request.cookies.get(cookie, "").encode()
        if hmac.compare_digest(known, self._token.encode()):
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
        # Guesses are checked one at a time, whoever makes them.
        async with self._one_guess:
            expected = self._password.encode(errors="surrogateescape")
            if not hmac.compare_digest(typed.encode(), expected):
                await asyncio.sleep(GUESS_SECONDS)
                return HTMLResponse(assets.login("That is not the password. Try again."), 401)
        entered = RedirectResponse("./", 303)
        entered.set_cookie(cookie, self._token, httponly=True, samesite="lax")
        return entered


def _check_origin(request: Request, host: str) -> None:
    """Refuses what a page of another server makes a browser send here."""
    if request.method in ("GET", "HEAD"):
        return
    site, origin = (request.headers.get(name) for name in ("sec-fetch-site", "origin"))
    if site is not None:  # newer browsers, at addresses that they trust
        ours = site in ("same-origin", "none")
    else:  # no browser sends neither with a POST
        ours = origin is None or origin.lower().partition("://")[2] == host
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
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
    except TimeoutError:
        raise HTTPException(408, f"Too slow: the limit is {BODY_SECONDS} seconds.") from None
    return bytes(body)
