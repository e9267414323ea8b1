"""Closes connections whose request head does not come.

uvicorn bounds idle connections only; one that sends a byte a minute would be kept for ever. Bodies
are bounded by the request's own deadline, elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn import Server

_LOOK_EVERY_S = 1.0


async def close_slow_clients(server: Server, *, header_timeout_s: float) -> None:
    """Watch the connections of a server until cancelled.

    Args:
        server: a running one.
        header_timeout_s: how long the head of a request may take, give or take a second.
    """
    waiting_since: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
    while True:
        await asyncio.sleep(min(_LOOK_EVERY_S, header_timeout_s))
        now = time.monotonic()
        for connection in list(server.server_state.connections):
            if not _awaits_head(connection):
                waiting_since.pop(connection, None)
            elif now - waiting_since.setdefault(connection, now) >= header_timeout_s:
                connection.transport.close()


def _awaits_head(connection: Any) -> bool:
    """Whether a connection has begun, but not finished, to send a head; or has sent nothing at all yet."""
    cycle = getattr(connection, "cycle", None)
    is_between_requests = cycle is None or cycle.response_complete
    return is_between_requests and getattr(connection, "timeout_keep_alive_task", None) is None
