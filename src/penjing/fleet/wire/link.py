"""One kept connection to a replica, which carries a request at a time.

Promises: a reply of known length up to ``whole_bytes`` is there complete before anything of it is passed on, so that
a replica that dies while it writes costs nobody a reply; anything longer, or of unknown length, is passed on as it
comes, at the reader's pace. Whoever waits on a link is told when it breaks.

Why not a client library: of the gateway's time on a request, most would be the library's; see
``docs/decisions``. The parsing is httptools', as in the server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import httptools

Headers = list[tuple[bytes, bytes]]
_HIGH_WATER = 256 << 10
_SWITCHING = 101
_NO_BODY = {204, 304}


class BrokenLinkError(Exception):
    """The connection to a replica ended before its reply did. No caller of the gateway sees it.

    Args:
        is_before: whether nothing of the request can have been read.
    """

    def __init__(self, came: str, *, is_before: bool = False) -> None:
        super().__init__(came)
        self.is_before = is_before


class Link(asyncio.Protocol):
    """See the module.

    Args:
        whole_bytes: longest reply that is collected before it is handed on.

    Attributes:
        is_open: whether it can carry (another) request.
        status, headers: of the reply, once :meth:`ask` has returned; names in lower case.
        is_complete: whether all of the reply is here.
    """

    def __init__(self, *, whole_bytes: int) -> None:
        self._whole_bytes = whole_bytes
        self._transport: Any = None
        self._wake: asyncio.Future[None] | None = None
        self._broken: Exception | None = None
        self.is_open = False
        self._reset(b"GET")

    def _reset(self, method: bytes) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._method = method
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._keeps = self._has_head = self._is_paused = False
        self._is_whole = False
        self.status, self.is_complete = 0, False
        self.headers: Headers = []

    # What the gateway calls --------------------------------------------------------------------------

    async def ask(self, method: bytes, head: bytes, body: bytes) -> None:
        """Send a request and wait for the reply: all of it where it is short, else its head.

        Raises:
            BrokenLinkError: the connection broke first.
        """
        self._reset(method)
        if not self.is_open:
            raise BrokenLinkError("the replica closed the connection", is_before=True)
        self._transport.write(head + body if len(body) < _HIGH_WATER else head)
        if len(body) >= _HIGH_WATER:
            self._transport.write(body)
        while not (self.is_complete or (self._has_head and not self._is_whole)):
            await self._news()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, as it comes.

        Raises:
            BrokenLinkError: the connection broke before the end.
        """
        while True:
            if self._chunks:
                chunk = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
                self._chunks.clear()
                self._waiting_bytes = 0
                self._resume()
                yield chunk
            elif self.is_complete:
                return
            else:
                await self._news()

    def body(self) -> bytes:
        """The body of a complete reply."""
        return b"".join(self._chunks)

    def end(self, error: Exception | None = None) -> None:
        """Close it, with whatever is under way; ``error`` is what whoever waits is told."""
        self.is_open = False
        if error is not None and not self.is_complete:
            self._break(error)
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls -----------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport, self.is_open = transport, True

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.end(BrokenLinkError(f"the replica's reply is no HTTP: {error}"))
            return
        if self.is_complete or (self._has_head and not self._is_whole):
            self._tell()

    def eof_received(self) -> None:
        """See :class:`asyncio.Protocol`."""
        self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self.is_open = False
        if self._has_head and not self.is_complete and self._ends_with_connection():
            self.is_complete, self._keeps = True, False
            self._tell()
        elif not self.is_complete:
            why = f": {error}" if error else ""
            self._break(BrokenLinkError(f"the replica closed the connection{why}"))

    # What the parser calls ---------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the reply."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """All headers are there."""
        self.status = self._parser.get_status_code()
        if self.status < 200 and self.status != _SWITCHING:
            return
        self._has_head = True
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        self._is_whole = length.isdigit() and int(length) <= self._whole_bytes
        if self._method == b"HEAD":  # of which the parser knows nothing: it would wait for a body
            self.on_message_complete()
            self._keeps = False

    def on_body(self, data: bytes) -> None:
        """Some of the body."""
        self._chunks.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _HIGH_WATER and not self._is_whole and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The reply has ended."""
        if not self._has_head:  # a 1xx, behind which the reply comes
            self.headers = []
            return
        if not self.is_complete:
            self.is_complete, self._keeps = True, self._parser.should_keep_alive()

    # -------------------------------------------------------------------------------------------------

    @property
    def can_carry_more(self) -> bool:
        """Whether another request may be sent, the reply having been complete."""
        return self.is_open and self.is_complete and self._keeps and not self._transport.is_closing()

    def _ends_with_connection(self) -> bool:
        names = {name for name, _ in self.headers}
        return not names & {b"content-length", b"transfer-encoding"} or self.status in _NO_BODY

    async def _news(self) -> None:
        if self._broken is not None:
            raise self._broken
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _tell(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _break(self, error: Exception) -> None:
        self._broken = self._broken or error
        if self._wake is not None and not self._wake.done():
            self._wake.set_exception(self._broken)

    def _resume(self) -> None:
        if self._is_paused and self.is_open:
            self._is_paused = False
            self._transport.resume_reading()
