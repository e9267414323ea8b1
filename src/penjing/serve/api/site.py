"""The site: hands each request to the dialect that it is for, and sees every reply through.

Which dialect a request is for is decided here and nowhere else. A path below a dialect's strict prefix
(``/tfs``, ``/oip``, …) is that dialect's, read as if the prefix were not there; any other path goes to
the first dialect that answers bare paths and claims it. A dialect sees in ``Request.prefix`` that it was
asked by its own name, and then says nothing in another's words.

Promises: exactly one reply a request, whatever a dialect does; while the server drains, requests in
flight are finished and connections closed behind them.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from penjing.core.errors import PenjingError
from penjing.security.access import Access
from penjing.serve.api.guard import Guard, RouteTable
from penjing.serve.api.http import Headers, Receive, Reply, Request, Send, Stream, send_reply, send_stream
from penjing.serve.api.routes import Description
from penjing.serve.finished import Finished
from penjing.serve.watching import TRACEPARENT, Watching, cost_of

_LOG = logging.getLogger(__name__)
NOT_FOUND = Reply(
    404,
    b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n",
    b"text/html",
)
_FAULTS_FROM = 500
_CLOSE: Headers = [(b"connection", b"close")]
_CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, X-Api-Key, Api-Key, Content-Type, Inference-Header-Content-Length, X-Penjing-Timeout-Ms",
    ),
    (b"access-control-expose-headers", b"*"),
]


class Dialect(Protocol):
    """One wire protocol."""

    @property
    def description(self) -> Description:
        """Its routes."""

    def claims(self, path: str) -> bool:
        """Whether a bare path belongs to the dialect."""

    async def answer(self, request: Request) -> Reply | Stream:
        """Answer a request, whole or bit by bit. May raise any error of :mod:`penjing.core.errors`."""

    def fault(self, error: Exception) -> Reply:
        """An error in the dialect's own form."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a dialect answers.

    Attributes:
        prefix: strict prefix; empty if it has none.
        is_bare: whether it also answers the paths that it claims, without the prefix.
    """

    dialect: Dialect
    prefix: str = ""
    is_bare: bool = True


class Site:
    """The ASGI application.

    Args:
        mounts: asked in this order.
        max_body_bytes, request_timeout_ms: limits of every request.
        cors: let browsers on other sites call.
        watching: what is written down of each request; None is nothing.
        access: who may do what; None lets everybody do everything.

    Attributes:
        in_flight: requests taken up and not yet answered.
        is_draining: set when the server stops.
    """

    def __init__(
        self,
        mounts: Sequence[Mount],
        *,
        max_body_bytes: int,
        request_timeout_ms: float,
        cors: bool = False,
        watching: Watching | None = None,
        access: Access | None = None,
    ) -> None:
        self._watching = watching
        self._guard = Guard(access) if access else None
        self._tables = {
            (id(mount.dialect), is_prefixed): RouteTable(mount.dialect.description.routes, is_prefixed=is_prefixed)
            for mount in mounts
            for is_prefixed in (False, True)
        }
        self._prefixed = tuple(mount for mount in mounts if mount.prefix)
        self._bare = tuple(mount.dialect for mount in mounts if mount.is_bare)
        self._max_body_bytes = max_body_bytes
        self._timeout_s = request_timeout_ms / 1000
        self._cors = _CORS if cors else []
        self.in_flight = 0
        self.is_draining = False

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the server speaks HTTP only, not {scope['type']}")
        self.in_flight += 1
        try:
            request = Request(scope, receive, max_body_bytes=self._max_body_bytes, timeout_s=self._timeout_s)
            reply = await self._reply(request)
            closing = _CLOSE if self.is_draining or request.must_close else []
            extra = [*self._cors, *closing]
            if isinstance(reply, Stream):
                await send_stream(reply, request, send, extra=extra)
            traced = _written_down(request, reply, self._watching) if self._watching else []
            if isinstance(reply, Reply):
                await send_reply(reply, send, extra=[*extra, *traced])
        finally:
            self.in_flight -= 1

    async def _reply(self, request: Request) -> Reply | Stream:
        dialect = self._dialect_for(request)
        if dialect is None:
            return NOT_FOUND
        if self._cors and request.method == "OPTIONS" and request.header(b"origin"):
            return Reply(200, b"")
        try:
            if self._guard is None:
                return await dialect.answer(request)
            return await self._guarded(dialect, request, self._guard)
        except Exception as error:  # noqa: BLE001  each error becomes a reply of the dialect
            if not isinstance(error, PenjingError):
                _LOG.exception("%s %s failed", request.method, request.path)
            if self._guard is not None:
                self._guard.refused(request, error)
            return dialect.fault(error)

    async def _guarded(self, dialect: Dialect, request: Request, guard: Guard) -> Reply | Stream:
        try:
            is_declared = guard.admit(request, self._tables[id(dialect), bool(request.prefix)])
        except PenjingError:
            request.must_close = request.has_long_body  # which nobody will read
            raise
        reply = await dialect.answer(request)
        if not is_declared:
            guard.check(reply, request)
        return reply

    def _dialect_for(self, request: Request) -> Dialect | None:
        for mount in self._prefixed:
            if request.enter(mount.prefix):
                return mount.dialect
        return next((dialect for dialect in self._bare if dialect.claims(request.path)), None)


def _written_down(request: Request, reply: Reply | Stream, watching: Watching) -> Headers:
    finished = Finished(
        "http",
        request.what,
        str(reply.status),
        reply.status >= _FAULTS_FROM,
        request.began,
        cost_of(reply.headers),
        request.header(TRACEPARENT),
    )
    traceparent = watching.finished(finished)
    return [(TRACEPARENT, traceparent.encode())] if traceparent else []
