"""Requests and replies as the dialects see them: a thin coat over ASGI.

Promises: a body is never larger in memory than the limit, inflated or not; a client that is slow or
gone ends its own request and no other.
"""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from penjing.core.errors import DeadlineError, DepartedError, InvalidRequestError, TooLargeError
from penjing.serve.api.interrupt import Interruptible

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

TIMEOUT_HEADER = b"x-penjing-timeout-ms"
_WATCH_AFTER_S = 0.05
_LONG_BODY_BYTES = 64 << 10
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}  # HTTP's deflate is what zlib calls zlib


@dataclass(frozen=True, slots=True)
class Reply:
    """What a dialect answers.

    Attributes:
        status: HTTP status.
        body: the whole of it.
        content_type: of the body.
        headers: others, names in lower case.
    """

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: Headers = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stream:
    """What a dialect answers bit by bit.

    Attributes:
        events: chunks of the body; closed when the client leaves.
        status: HTTP status.
        content_type: of the body.
        headers: others, names in lower case.
    """

    events: AsyncGenerator[bytes]
    status: int = 200
    content_type: bytes = b"text/event-stream"
    headers: Headers = field(default_factory=list)


def json_reply(status: int, value: Any, *, headers: Headers | None = None) -> Reply:
    """A reply in compact JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Reply(status, body, headers=headers or [])


class Request:
    """One HTTP request.

    Args:
        scope: ASGI's.
        receive: ASGI's.
        max_body_bytes: limit of the body, also after inflating.
        timeout_s: the longest the request may take; callers may ask for less.

    Attributes:
        method: in upper case.
        prefix: the strict prefix that the request came under; empty if under none.
        path: percent-decoded, without prefix and query.
        target: path and query as sent, without the prefix.
        began, deadline: on the clock of ``time.monotonic``.
        must_close: part of the body was left unread, so the connection cannot be used again.
    """

    def __init__(
        self, scope: MutableMapping[str, Any], receive: Receive, *, max_body_bytes: int, timeout_s: float
    ) -> None:
        self.method: str = scope["method"]
        self.prefix = ""
        self.path: str = scope["path"]
        self.began = time.monotonic()
        self.must_close = False
        self._scope = scope
        self._receive = receive
        self._max_body_bytes = max_body_bytes
        self.deadline = self.began + min(timeout_s, self._asked_s())

    def within(self, timeout_s: float) -> float:
        """The deadline of a call that has its own limit; callers may ask for less."""
        return self.began + min(timeout_s, self._asked_s())

    @property
    def target(self) -> str:
        """Path and query string, nothing decoded."""
        query: bytes = self._scope["query_string"]
        raw = self._raw_path.removeprefix(self.prefix)
        return f"{raw}?{query.decode('latin-1')}" if query else raw

    @property
    def query(self) -> dict[str, str]:
        """The query's values, decoded; the last one of each name."""
        return dict(parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True))

    @property
    def _raw_path(self) -> str:
        raw: bytes = self._scope.get("raw_path") or self.path.encode()
        return raw.decode("latin-1")

    def enter(self, prefix: str) -> bool:
        """Whether the request came under a prefix; if so, it is cut off from path and target."""
        if not f"{self._raw_path}/".startswith(f"{prefix}/"):
            return False
        self.prefix, self.path = prefix, self.path.removeprefix(prefix)
        return True

    @property
    def what(self) -> str:
        """Method and path, for logs; no query, in which secrets are often sent."""
        return f"{self.method} {self.prefix}{self.path}"

    @property
    def peer(self) -> str:
        """Address of who is connected, which may be a proxy; empty on a Unix socket."""
        client = self._scope.get("client")
        return str(client[0]) if client else ""

    @property
    def headers(self) -> Headers:
        """All of them as they came, names in lower case."""
        return self._scope["headers"]  # type: ignore[no-any-return]

    def header(self, name: bytes) -> str:
        """Value of a header, by its name in lower case; empty if it did not come."""
        for came, value in self._scope["headers"]:
            if came == name:
                return bytes(value).decode("latin-1")
        return ""

    @property
    def has_long_body(self) -> bool:
        """Whether the body is, or may be, longer than is worth reading to keep the connection."""
        length = self.header(b"content-length")
        return bool(self.header(b"transfer-encoding")) or (length.isdigit() and int(length[:12]) > _LONG_BODY_BYTES)

    async def body(self) -> bytes:
        """All of the body, inflated if it came as gzip or deflate.

        Raises:
            TooLargeError: it is over the limit; the rest is not read.
            DeadlineError: it did not arrive in time.
            DepartedError: the client left in the middle.
            InvalidRequestError: it is not as compressed as it claims to be.
        """
        body = await self.body_as_sent()
        encoding = self.header(b"content-encoding").lower()
        form = next((form for form in _WINDOWS if form in encoding), None)
        return self._inflate(body, form) if form else body

    async def body_as_sent(self) -> bytes:
        """All of the body, compressed or not.

        Raises:
            TooLargeError: it is over the limit; the rest is not read.
            DeadlineError: it did not arrive in time.
            DepartedError: the client left in the middle.
        """
        declared = self.header(b"content-length")
        if declared.isdigit() and int(declared) > self._max_body_bytes:
            raise self._too_large(f"{declared} bytes")
        with Interruptible() as reading:
            timer = asyncio.get_running_loop().call_later(self._left_s(), self._give_up, reading)
            try:
                return await self._read()
            finally:
                timer.cancel()

    @contextmanager
    def while_connected(self) -> Iterator[None]:
        """Cancel the enclosed work when the client leaves. Only after the body has been read.

        Raises:
            DepartedError: it has left.
        """
        loop = asyncio.get_running_loop()
        watchers: list[asyncio.Task[None]] = []
        with Interruptible() as work:
            # Most answers come sooner than a watcher is worth.
            timer = loop.call_later(_WATCH_AFTER_S, lambda: watchers.append(loop.create_task(self._watch(work))))
            try:
                yield
            finally:
                timer.cancel()
                for watcher in watchers:
                    watcher.cancel()

    async def _watch(self, work: Interruptible) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        work.end(DepartedError("the client left before its answer was ready"))

    def _give_up(self, reading: Interruptible) -> None:
        self.must_close = True
        reading.end(DeadlineError("the body of the request did not arrive in time"))

    def _left_s(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def _asked_s(self) -> float:
        try:
            return max(0.0, float(self.header(TIMEOUT_HEADER) or "inf") / 1000)
        except ValueError:
            return float("inf")

    async def _read(self) -> bytes:
        chunks, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise DepartedError("the client left before its request was complete")
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > self._max_body_bytes:
                raise self._too_large(f"more than {self._max_body_bytes} bytes")
            chunks.append(chunk)
            if not message.get("more_body"):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _inflate(self, body: bytes, form: str) -> bytes:
        try:
            inflater = zlib.decompressobj(_WINDOWS[form])
            inflated = inflater.decompress(body, self._max_body_bytes + 1)
        except zlib.error as error:
            raise InvalidRequestError(
                f"the body is not {form}: {error}", expected="what Content-Encoding says"
            ) from error
        if len(inflated) > self._max_body_bytes:
            raise self._too_large(f"more than {self._max_body_bytes} bytes after inflating")
        if not inflater.eof:
            raise InvalidRequestError(f"the {form} body ends too early", expected="a complete one")
        return inflated

    def _too_large(self, came: str) -> TooLargeError:
        self.must_close = True
        return TooLargeError(
            f"the body has {came}", expected=f"at most {self._max_body_bytes}", do="Send fewer inputs in one request."
        )


async def send_reply(reply: Reply, send: Send, *, extra: Headers) -> None:
    """Write a reply to ASGI."""
    headers = [
        (b"content-type", reply.content_type),
        (b"content-length", b"%d" % len(reply.body)),
        *reply.headers,
        *extra,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def send_stream(reply: Stream, request: Request, send: Send, *, extra: Headers) -> None:
    """Write a reply to ASGI while it is made; a client that leaves ends its making."""
    no_store = (b"cache-control", b"no-cache")
    headers = [(b"content-type", reply.content_type), no_store, *reply.headers, *extra]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    try:
        with request.while_connected():
            async for chunk in reply.events:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except DepartedError:
        return
    finally:
        await reply.events.aclose()
    await send({"type": "http.response.body", "body": b""})
