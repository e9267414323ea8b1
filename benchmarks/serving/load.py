"""A load generator for any HTTP server: closed loop (each client asks again once answered) and open loop.

In the open loop requests are due at random moments whether or not earlier ones are answered, and a latency counts
from when its request was due: a server that falls behind cannot hide it. It runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlsplit


class Connection:
    """One kept-alive connection to a server."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> bool:
        """Whether the server answered with 200. A refusal closes nothing; a broken connection is made anew."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._parts.hostname, self._parts.port)
            reader, writer = self._streams
            head = f"POST {self._parts.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            fields = answer.lower().split(b"\r\n")
            length = next(int(field[15:]) for field in fields if field.startswith(b"content-length:"))
            await reader.readexactly(length)
        except (OSError, EOFError, StopIteration):
            self._streams = None
            return False
        return b" 200 " in answer[:16]


async def closed_loop(url: str, bodies: Sequence[bytes], *, clients: int, seconds: float) -> dict[str, object]:
    """Ask from ``clients`` connections for some seconds."""
    latencies: list[float] = []
    failed = 0
    until = time.perf_counter() + seconds

    async def client(number: int) -> None:
        nonlocal failed
        connection, turn = Connection(url), number
        while (began := time.perf_counter()) < until:
            answered = await connection.post(bodies[turn % len(bodies)])
            turn += clients
            if answered:
                latencies.append(time.perf_counter() - began)
            else:
                failed += 1
                await asyncio.sleep(0.01)

    await asyncio.gather(*(client(number) for number in range(clients)))
    return _summed(latencies, failed, seconds)


async def open_loop(url: str, bodies: Sequence[bytes], *, rate: float, seconds: float) -> dict[str, object]:
    """Ask ``rate`` times a second at random moments."""
    rng = random.Random(0)
    latencies: list[float] = []
    failed = 0
    idle: list[Connection] = []

    async def ask(body: bytes, due: float) -> None:
        nonlocal failed
        connection = idle.pop() if idle else Connection(url)
        if await connection.post(body):
            latencies.append(time.perf_counter() - due)
        else:
            failed += 1
        idle.append(connection)

    due = began = time.perf_counter()
    turn, tasks = 0, []
    while due - began < seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(bodies[turn % len(bodies)], due)))
        turn, due = turn + 1, due + rng.expovariate(rate)
    await asyncio.gather(*tasks)
    return _summed(latencies, failed, time.perf_counter() - began)


def _summed(latencies: list[float], failed: int, seconds: float) -> dict[str, object]:
    ordered = sorted(latencies) or [float("inf")]
    at = {f"p{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] * 1000 for share in (50, 95, 99)}
    return {"requests_per_s": len(latencies) / seconds, "failed": failed, "answered": len(latencies)} | at


def main() -> None:
    """One line of JSON in: url, bodies, seconds, and clients or rate. One line out."""
    told = json.loads(sys.stdin.readline())
    bodies = [json.dumps(body).encode() for body in told["bodies"]]
    if "rate" in told:
        run = open_loop(told["url"], bodies, rate=told["rate"], seconds=told["seconds"])
    else:
        run = closed_loop(told["url"], bodies, clients=told["clients"], seconds=told["seconds"])
    print(json.dumps(asyncio.run(run)))


if __name__ == "__main__":
    main()
