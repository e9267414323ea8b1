"""Backends of a few lines, with the faults that real ones have; each in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

REASONS = {200: "OK", 404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Unavailable"}


@dataclass
class Stub:
    """An HTTP server that answers with what it was asked, unless told to fail.

    Attributes:
        is_ready: what it says at /readyz.
        hangs: it answers nothing any more, probes included.
        breaks: so many requests more are broken off without an answer.
        status: of its answers.
        delay_s: before each answer.
        events: stream so many server-sent events, each when ``may_go_on`` is set, instead.
        breaks_after: break off after so many events.
    """

    name: str = "stub"
    is_ready: bool = True
    hangs: bool = False
    breaks: int = 0
    status: int = 200
    delay_s: float = 0.0
    events: int = 0
    breaks_after: int | None = None
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    left: int = 0
    port: int = 0
    may_go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                line, headers = await self._head(reader)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._answer(line, headers, body, reader=reader, writer=writer):
                    break
        writer.close()

    async def _head(self, reader):
        line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        return line, {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}

    async def _answer(self, line, headers, body, *, reader, writer):
        while self.hangs:
            await asyncio.sleep(0.02)
        if " /readyz " in line:
            self._write(writer, 200 if self.is_ready else 503, b"{}")
            return True
        self.asked.append((line, headers, body))
        await asyncio.sleep(self.delay_s)
        if self.breaks > 0:
            self.breaks -= 1
            return False
        if self.events:
            return await self._stream(reader, writer)
        said = json.dumps({"by": self.name, "line": line, "body": body.decode("latin-1")}).encode()
        self._write(writer, self.status, said)
        return True

    def _write(self, writer, status, body):
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: application/json\r\nX-Own: {self.name}\r\n"
        writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)

    async def _stream(self, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number in range(self.events):
            while not self.may_go_on.is_set():
                await asyncio.sleep(0.005)
                if reader.at_eof():
                    self.left += 1
                    return False
            self.may_go_on.clear()
            if number == self.breaks_after:
                return False
            event = b"data: %d\n\n" % number
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        return True


@contextmanager
def running(*stubs):
    """The stubs, listening each on a port of its own until the block ends."""
    up, over = threading.Event(), threading.Event()

    async def main():
        servers = []
        for stub in stubs:
            servers.append(await asyncio.start_server(stub.serve, "127.0.0.1", stub.port))
            stub.port = servers[-1].sockets[0].getsockname()[1]
        up.set()
        while not over.is_set():
            await asyncio.sleep(0.02)
        for server in servers:
            server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    up.wait(20)
    try:
        yield stubs
    finally:
        over.set()
        thread.join(20)
