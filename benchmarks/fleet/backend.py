"""Backends that only take time: each answers one request after another, as long as its body is.

``python backend.py '{"count": 4, "base_ms": 5, "ms_per_byte": 0, "speeds": [1, 1, 1, 1], "at_once": 1}'`` prints their
ports, and ends with its standard input. They sleep, and so leave the processor to whoever is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
ANSWER = HEAD % (200, b"{" + b" " * 198 + b"}")


class Backend:
    """One of them."""

    def __init__(self, *, base_s: float, s_per_byte: float, at_once: int) -> None:
        self._base_s, self._s_per_byte = base_s, s_per_byte
        self._seats = asyncio.Semaphore(at_once)  # a fair one

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes on a connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
                body = await reader.readexactly(int(length or 0))
                if b" /readyz " not in head:
                    async with self._seats:
                        await asyncio.sleep(self._base_s + self._s_per_byte * len(body))
                writer.write(ANSWER)
        writer.close()


async def main() -> None:
    told = json.loads(sys.argv[1])
    servers = []
    for speed in told["speeds"]:
        backend = Backend(
            base_s=told["base_ms"] / 1000 / speed,
            s_per_byte=told["ms_per_byte"] / 1000 / speed,
            at_once=told["at_once"],
        )
        servers.append(await asyncio.start_server(backend.serve, "127.0.0.1", 0))
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
