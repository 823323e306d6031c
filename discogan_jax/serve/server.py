"""Serves the page: address, password, start and end."""

import asyncio
import contextlib
import errno
import getpass
import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette

from discogan_jax.errors import InputError
from discogan_jax.serve import log
from discogan_jax.serve.access import Access
from discogan_jax.serve.connection import BACKLOG, Connection

if TYPE_CHECKING:
    from discogan_jax.serve.checkpoints import CheckpointCache

LOOPBACK = "127.0.0.1"
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")

PORT = 7860
PORTS = 100
"""Number of ports that are tried, from `PORT` on, if none is named."""

PASSWORD = "DISCOGAN_PASSWORD"
"""Environment variable: everybody on a machine can see the arguments of its commands."""

LEAST_PASSWORD = 8


def serve(
    path: str, host: str, port: int | None, say: Callable[[str], None], **catalogue: Any
) -> None:
    """Serves a page about a run until a KeyboardInterrupt.

    Args:
      path: run directory, one of its checkpoints, or an exported file.
      host: name or address to listen on. Anything but loopback needs a password.
      port: port to listen on; the first free one from `PORT` on if None.
      say: function that prints a line.
      **catalogue: pictures that may go with translations, as `CheckpointCache` takes them.

    Raises:
      InputError: nothing that translates is there, the catalogue cannot be used, the address cannot
        be had, or a password is needed and there is none.
    """
    with contextlib.suppress(KeyboardInterrupt), listen(host, port) as place:
        address, found = place.getsockname()[:2]
        password = find_password(address)

        # Imported late, so that a mistake in the arguments is reported before JAX is loaded.
        from discogan_jax.serve.checkpoints import CheckpointCache

        # Open the run, say where the page is, and serve it.
        cache = CheckpointCache(path, **catalogue)
        serving = server(cache, address, password)
        if cache.catalogue:
            say(str(cache.catalogue))
        if port is None and found != PORT:
            say(f"port {PORT} is taken; the next free one is {found}")
        if password:
            say("It asks for the password. It is not encrypted: for networks that you trust.")
        name = socket.gethostname() if ipaddress.ip_address(address).is_unspecified else address
        say(f"http://{_in_url(name)}:{found} (Ctrl-C ends it)")
        asyncio.run(serving.serve([place]))
    say("Stopped.")


def server(
    cache: "CheckpointCache", address: str = LOOPBACK, password: str | None = None
) -> "uvicorn.Server":
    """Makes the page and what serves it.

    Args:
      cache: what the page translates with.
      address: address to listen on.
      password: what everybody has to type first. Without one only a browser that knows the server
        by a loopback name is answered.
    """
    from discogan_jax.serve.page import Page  # loads JAX

    page = Starlette(routes=Page(cache, has_login=password is not None).routes)
    # Without a password only a browser that uses one of these names is answered.
    hosts = None if password else (*LOOPBACK_NAMES, _in_url(address))
    config = uvicorn.Config(
        Access(page, hosts=hosts, password=password),
        http=Connection,
        backlog=BACKLOG,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        log_level="error",
        timeout_graceful_shutdown=5,
    )
    log.limit()
    return uvicorn.Server(config)


def _in_url(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def listen(host: str, port: int | None) -> socket.socket:
    """Opens a socket that listens on a port; called first, as all else needs one.

    Args:
      host: name or address to listen on.
      port: port to listen on; None takes the first free one of `PORTS` from `PORT` on.

    Raises:
      InputError: it cannot be had.
    """
    if port is not None and not 0 <= port < 2**16:
        raise InputError(f"port {port} cannot be had: ports are below {2**16}")
    # Resolve the name first: an address has a family, and an IPv6 one more parts.
    try:
        family, *_, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", error)
        raise InputError(f"--host={host} is no address of this machine: {why}") from error
    # Try ports until one is free; any other error than that it is taken ends the search.
    for candidate in range(PORT, PORT + PORTS) if port is None else [port]:
        try:
            return socket.create_server((address[0], candidate, *address[2:]), family=family)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                why = f"cannot be had: {error.strerror}"
                raise InputError(f"{host}, port {candidate}, {why}") from error
    taken = f"port {port} is" if port is not None else f"ports {PORT} to {PORT + PORTS - 1} are"
    raise InputError(f"{taken} taken; name another --port")


def find_password(address: str) -> str | None:
    """Finds the password: in `PASSWORD`, or typed in where other machines can see the page.

    Args:
      address: address to listen on.

    Raises:
      InputError: one is needed and nobody is there to type it, or it is too short.
    """
    password = os.environ.get(PASSWORD)
    if not password:
        if ipaddress.ip_address(address).is_loopback:
            return None
        if not sys.stdin.isatty():
            raise InputError(
                f"--host: beyond {LOOPBACK} the page needs a password; set {PASSWORD} to it"
            )
        password = getpass.getpass("Password for the page: ")
    if len(password) < LEAST_PASSWORD:
        raise InputError(f"the password ({PASSWORD}) must have {LEAST_PASSWORD} characters or more")
    return password
