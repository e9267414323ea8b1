"""The site: hands each request to the dialect that claims it, and sees every reply through.

Promises: exactly one reply a request, whatever a dialect does; while the server drains, requests in
flight are finished and connections closed behind them.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping, Sequence
from typing import Any, Protocol

from penjing.core.errors import PenjingError
from penjing.serve.api.http import Headers, Receive, Reply, Request, Send, send_reply

_LOG = logging.getLogger(__name__)
_NOT_FOUND = Reply(
    404,
    b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n",
    b"text/html",
)
_CLOSE: Headers = [(b"connection", b"close")]


class Dialect(Protocol):
    """One wire protocol."""

    def claims(self, path: str) -> bool:
        """Whether a path belongs to the dialect."""

    async def answer(self, request: Request) -> Reply:
        """Answer a request. May raise any error of :mod:`penjing.core.errors`."""

    def fault(self, error: Exception) -> Reply:
        """An error in the dialect's own form."""


class Site:
    """The ASGI application.

    Args:
        dialects: asked in this order.
        max_body_bytes, request_timeout_ms: limits of every request.

    Attributes:
        in_flight: requests taken up and not yet answered.
        is_draining: set when the server stops.
    """

    def __init__(self, dialects: Sequence[Dialect], *, max_body_bytes: int, request_timeout_ms: float) -> None:
        self._dialects = tuple(dialects)
        self._max_body_bytes = max_body_bytes
        self._timeout_s = request_timeout_ms / 1000
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
            await send_reply(reply, send, extra=_CLOSE if self.is_draining or request.must_close else [])
        finally:
            self.in_flight -= 1

    async def _reply(self, request: Request) -> Reply:
        for dialect in self._dialects:
            if dialect.claims(request.path):
                try:
                    return await dialect.answer(request)
                except Exception as error:  # noqa: BLE001  each error becomes a reply of the dialect
                    if not isinstance(error, PenjingError):
                        _LOG.exception("%s %s failed", request.method, request.path)
                    return dialect.fault(error)
        return _NOT_FOUND
