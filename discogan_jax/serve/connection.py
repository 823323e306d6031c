"""The connections of browsers: how many there are, how long they may idle, what is no HTTP."""

import asyncio
import contextlib
import resource
from collections import Counter
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from discogan_jax.serve.quota import visitor

SECONDS = 10.0
"""Time within which the head of a request has to arrive, and a piece of an answer be taken."""

PIECE = 500_000
"""Bytes of such a piece."""

_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[0]

MOST = min(256, _FILES // 2)
"""Number of connections. The other files that may be open are the run's."""

BACKLOG = min(64, _FILES // 16)
"""Number of connections that are accepted at once, before the first of them counts."""


class Connection(H11Protocol):
    """A connection that waits no longer than it must, and makes room for others."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ends, if there are too many, the oldest idle one of the visitor who has most."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(PIECE - 1, 0)
        self._timer: asyncio.TimerHandle | None = None
        self._idle_since = self.loop.time()
        self._watch()
        if len(self.connections) > MOST:
            everyone = cast(set[Connection], self.connections)
            idle = [(visitor(c.client), c) for c in everyone if not c._is_busy]
            greedy, _ = Counter(who for who, _ in idle).most_common(1)[0]
            oldest = min((c for who, c in idle if who == greedy), key=lambda c: c._idle_since)
            self.connections.discard(oldest)
            oldest.transport.abort()

    @property
    def _is_busy(self) -> bool:
        """Whether a request has come that has no whole answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        """Ends the connection unless what is waited for comes in time."""
        waits = self.flow.write_paused or not self._is_busy
        if waits and self._timer is None:
            self._timer = self.loop.call_later(SECONDS, self.transport.abort)
        elif self._timer and not waits:
            self._timer.cancel()
            self._timer = None

    def data_received(self, data: bytes) -> None:
        """Takes some bytes of a request."""
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        """Waits until what was sent is taken."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Goes on, as all was taken."""
        super().resume_writing()
        self._watch()

    def on_response_complete(self) -> None:
        """Becomes idle."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets everything."""
        super().connection_lost(exc)
        if self._timer:
            self._timer.cancel()

    def shutdown(self) -> None:
        """Ends, at the server's end, unless a whole request has come: that one is answered."""
        if self._is_busy and self.cycle.more_body:
            self.transport.abort()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP, unless there was an answer before it turned out to be none."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # nothing else is sent
        with contextlib.suppress(h11.LocalProtocolError):
            super().send_400_response(msg)
        self.transport.close()
