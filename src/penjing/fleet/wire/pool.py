"""The kept connections to one replica.

Promises: a connection carries one request at a time; the one used last is used next, so that those too many grow old
and are closed; one that has been idle for long is not trusted. Only ever used on one event loop.
"""

from __future__ import annotations

import asyncio
import time

from penjing.fleet.wire.address import Address
from penjing.fleet.wire.link import BrokenLinkError, Link


class Pool:
    """See the module.

    Args:
        address: the replica's.
        connect_within_s: longest time until a connection stands.
        idle_s: longest time for which an idle one is trusted; below the replica's own limit.
        whole_bytes: see :class:`penjing.fleet.wire.link.Link`.
    """

    def __init__(self, address: Address, *, connect_within_s: float, idle_s: float, whole_bytes: int) -> None:
        self._address = address
        self._connect_within_s, self._idle_s, self._whole_bytes = connect_within_s, idle_s, whole_bytes
        self._idle: list[tuple[float, Link]] = []
        self._busy: set[Link] = set()

    async def take(self) -> Link:
        """A connection for one request, to be given back.

        Raises:
            BrokenLinkError: none can be made.
        """
        oldest = time.monotonic() - self._idle_s
        while self._idle:
            since, link = self._idle.pop()
            if since >= oldest and link.can_carry_more:
                self._busy.add(link)
                return link
            link.end()
        link = await self._connect()
        self._busy.add(link)
        return link

    def give_back(self, link: Link) -> None:
        """The request has ended, one way or another."""
        self._busy.discard(link)
        if link.can_carry_more:
            self._idle.append((time.monotonic(), link))
        else:
            link.end()

    def break_all(self, why: str) -> None:
        """End every connection; whoever waits for a reply is told why."""
        for link in list(self._busy):
            link.end(BrokenLinkError(why))
        while self._idle:
            self._idle.pop()[1].end()

    async def _connect(self) -> Link:
        try:
            async with asyncio.timeout(self._connect_within_s):
                return await self._address.connect(lambda: Link(whole_bytes=self._whole_bytes))
        except (OSError, TimeoutError) as error:
            why = str(error) or "no connection in time"
            raise BrokenLinkError(f"the replica cannot be reached: {why}", is_before=True) from error
