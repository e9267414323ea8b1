"""What the workers of one server know of each other: enough that any of them can show the metrics of all.

Each worker answers on a Unix socket of its own as well, below a directory that only this user may enter.
Promise: a sibling that is slow or dead costs its own figures, and at most ``_WAIT_S``. Figures are labelled by
worker, not summed: a worker that was restarted counts from 0, and only for a series of its own does
Prometheus know how to read that.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LOG = logging.getLogger(__name__)
_WAIT_S = 1.0
_SAMPLE = re.compile(rb"^([a-zA-Z_:][\w:]*)(\{)?", re.MULTILINE)
OWN = "own"  # the query that asks a worker for its own figures alone


@dataclass(frozen=True, slots=True)
class Siblings:
    """See the module.

    Attributes:
        number: which worker this is.
        controls: the Unix sockets of all, this one's too, by number.
    """

    number: int
    controls: tuple[Path, ...]

    async def metrics(self, own: bytes) -> bytes:
        """The page of all workers.

        Args:
            own: this worker's page.
        """
        others = [number for number in range(len(self.controls)) if number != self.number]
        answers = await asyncio.gather(*(self._page(number) for number in others))
        pages = {self.number: own} | dict(zip(others, answers, strict=True))
        return merged([labelled(pages[number], number) for number in sorted(pages)])

    async def _page(self, number: int) -> bytes:
        try:
            async with asyncio.timeout(_WAIT_S):
                status, page = await fetch(self.controls[number], f"/metrics?{OWN}")
        except (OSError, TimeoutError, ValueError) as error:
            _LOG.warning("worker %d gives no metrics: %r", number, error)
            return b""
        return page if status == 200 else b""


async def fetch(control: Path, path: str) -> tuple[int, bytes]:
    """GET a path from a worker: status and body.

    Raises:
        OSError: it does not listen.
        ValueError: what came is no HTTP.
    """
    reader, writer = await asyncio.open_unix_connection(str(control))
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return int(head.split(b" ", 2)[1]) if b" " in head else 0, body


def labelled(page: bytes, number: int) -> bytes:
    """A metrics page with the label ``worker`` in each sample."""
    lines = [
        line if line.startswith(b"#") else _SAMPLE.sub(lambda found: _with_label(found, number), line, count=1)
        for line in page.splitlines()
    ]
    return b"\n".join(lines)


def merged(pages: Sequence[bytes]) -> bytes:
    """Several pages as one: each metric is described once, its samples one page's after another's."""
    described: dict[bytes, list[bytes]] = {}
    samples: dict[bytes, list[bytes]] = {}
    for page in pages:
        name = b""
        for line in page.splitlines():
            if line.startswith(b"# HELP "):
                name = line.split(b" ", 3)[2]
                is_first = name not in described
                described.setdefault(name, [])
            if not line.startswith(b"#"):
                samples.setdefault(name, []).append(line)
            elif is_first:
                described[name].append(line)
    lines = [line for name, words in described.items() for line in (*words, *samples.get(name, ()))]
    return b"\n".join(lines) + b"\n"


def _with_label(found: re.Match[bytes], number: int) -> bytes:
    closing = b"," if found[2] else b"}"
    return found[1] + b'{worker="%d"' % number + closing


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker is handed by the process that watches it.

    Attributes:
        http: listens already, and is every worker's.
        control: a Unix socket of its own, which listens.
        siblings: its number, and the others.
    """

    http: socket.socket
    control: socket.socket
    siblings: Siblings
