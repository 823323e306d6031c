"""A run as a web page: the server around `discogan_jax.serve.page`. Needs the extra ``serve``."""

import asyncio
import contextlib
import errno
import getpass
import hmac
import ipaddress
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import fastapi
import gradio as gr
import uvicorn
from starlette.routing import Mount
from starlette.types import ASGIApp

from discogan_jax.errors import InputError
from discogan_jax.serve import page
from discogan_jax.serve.access import Gate
from discogan_jax.serve.checkpoints import Shelf

LOOPBACK = "127.0.0.1"
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")

PORT = 7860
PORTS = 100
"""So many are tried, from `PORT` on, if none is named."""

PASSWORD = "DISCOGAN_PASSWORD"
"""Environment variable: everybody on a machine can see the arguments of its commands."""

LEAST_PASSWORD = 8
GUESS_SECONDS = 1.0
"""A wrong password takes so long, and the next one has to wait for it."""


def serve(
    path: str | Path,
    *,
    host: str = LOOPBACK,
    port: int | None = None,
    say: Callable[[str], object] = print,
) -> None:
    """Serves a page about a run until SIGINT or SIGTERM.

    Args:
      path: run directory, one of its checkpoints, or an exported file.
      host: name or address to listen at. Anything but loopback needs a password.
      port: to listen at; the first free one from `PORT` on if None.
      say: is told where the page is.

    Raises:
      InputError: nothing that translates is there, the address cannot be had, or a password is
        needed and there is none.
    """
    with contextlib.suppress(KeyboardInterrupt), _sigterm_as_sigint(), listen(host, port) as place:
        address, found = place.getsockname()[:2]
        password = find_password(address)
        shelf = Shelf(path)
        if port is None and found != PORT:
            say(f"port {PORT} is taken; the next free one is {found}")
        if password:
            say("It asks for the password. It is not encrypted: for networks that you trust.")
        name = socket.gethostname() if ipaddress.ip_address(address).is_unspecified else address
        name = f"[{name}]" if ":" in name else name
        say(f"http://{name}:{found} (Ctrl-C ends it)")
        asyncio.run(_serve(shelf, place, password))
    say("Stopped.")


async def _serve(shelf: Shelf, place: socket.socket, password: str | None) -> None:
    with server(shelf, password) as serving:
        await serving.serve([place])


class Server(uvicorn.Server):
    """Ends without waiting for what never ends by itself: the heartbeat of every open page."""

    def __init__(self, app: ASGIApp, ending: asyncio.Event) -> None:
        config = uvicorn.Config(
            app, log_level="warning", ws="none", lifespan="on", timeout_graceful_shutdown=5
        )
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes all connections."""
        self._ending.set()
        await super().shutdown(sockets)


@contextlib.contextmanager
def server(shelf: Shelf, password: str | None) -> Iterator[Server]:
    """The page and what serves it; to be made where an event loop runs.

    Args:
      shelf: what the page translates with.
      password: asked for, if not None, whatever the user's name. Without one only a browser that
        knows the server by a loopback name is answered.

    Yields:
      The server. Uploads and results are deleted in the end.
    """
    with tempfile.TemporaryDirectory(prefix="discogan-") as folder, _gradio_environment(folder):
        blocks = page.build(shelf)
        app = gr.mount_gradio_app(
            fastapi.FastAPI(openapi_url=None),
            blocks,
            path="/",
            auth=_guard(password) if password else None,
            auth_message="Any name will do.",
            max_file_size=page.MAX_UPLOAD,
            allowed_paths=[],
            footer_links=[],
            run_history=False,
            show_error=False,
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=False,
            pwa=False,
            theme=page.theme(),
            css=page.CSS,
        )
        # Mounting forgets this, without which Gradio checks no path that a client names.
        blocks.has_launched = True
        gradio_app: Any = next(route.app for route in app.routes if isinstance(route, Mount))
        hosts = None if password else LOOPBACK_NAMES
        yield Server(Gate(app, Path(folder), page.MAX_UPLOAD, hosts), gradio_app.stop_event)


@contextlib.contextmanager
def _gradio_environment(folder: str) -> Iterator[None]:
    """Gradio's settings are ours alone: what is set for other pages would open this one, too."""
    before = {name: value for name, value in os.environ.items() if name.startswith("GRADIO_")}
    ours = {
        "GRADIO_TEMP_DIR": folder,
        "GRADIO_EXAMPLES_CACHE": folder,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(2**31),  # it would sum up all visits at each
    }
    for name in before:
        del os.environ[name]
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
        os.environ.update(before)


def _guard(password: str) -> Callable[[str, str], Awaitable[bool]]:
    """Compares what is typed in at the login; who guesses has to wait."""
    one_by_one = asyncio.Lock()

    async def is_right(_: str, typed: str) -> bool:
        async with one_by_one:
            right = hmac.compare_digest(typed.encode(), password.encode())
            if not right:
                await asyncio.sleep(GUESS_SECONDS)
            return right

    return is_right


def listen(host: str, port: int | None) -> socket.socket:
    """Takes a port, before any work that would be in vain without.

    Args:
      host: name or address.
      port: None takes the first free one of `PORTS` from `PORT` on.

    Raises:
      InputError: it cannot be had.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(
            f"--host={host} is no address of this machine: {error.strerror}"
        ) from error
    for candidate in range(PORT, PORT + PORTS) if port is None else [port]:
        place = socket.socket(family, socket.SOCK_STREAM)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind((address[0], candidate, *address[2:]))
            place.listen()
        except (OSError, OverflowError) as error:
            place.close()
            if getattr(error, "errno", None) != errno.EADDRINUSE:
                why = getattr(error, "strerror", None) or error
                raise InputError(f"{host}, port {candidate}, cannot be had: {why}") from error
        else:
            return place
    taken = f"port {port} is" if port is not None else f"ports {PORT} to {PORT + PORTS - 1} are"
    raise InputError(f"{taken} taken; name another --port")


def find_password(address: str) -> str | None:
    """The password: from `PASSWORD`, or typed in where the page can be seen from other machines.

    Args:
      address: at which the server listens.

    Raises:
      InputError: one is needed and nobody is there to type it, or it is too short.
    """
    password = os.environ.get(PASSWORD)
    if not password and ipaddress.ip_address(address).is_loopback:
        return None
    if not password:
        if not sys.stdin.isatty():
            raise InputError(
                f"--host: beyond {LOOPBACK} the page needs a password; set {PASSWORD} to it"
            )
        password = getpass.getpass("Password for the page: ")
    if len(password) < LEAST_PASSWORD:
        raise InputError(f"the password ({PASSWORD}) must have {LEAST_PASSWORD} characters or more")
    return password


@contextlib.contextmanager
def _sigterm_as_sigint() -> Iterator[None]:
    """Lets both signals end the body by KeyboardInterrupt, so that nothing is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
