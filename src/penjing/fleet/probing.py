"""Asking a replica, again and again, whether it is ready.

Promise: a replica that refuses the connection, or says it is not ready, is out at once; one that is silent (hung, or
its machine gone) after ``unready_after`` probes, and then whoever waits for it is told, to be sent elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from penjing.fleet.fitness import FitnessRecipe
from penjing.fleet.replica import Outgoing, Replica
from penjing.fleet.wire.link import BrokenLinkError, Link

_LOG = logging.getLogger(__name__)
_EAGER_S = 0.1  # between probes of one that is not ready: it is waited for
_MOST_BYTES = 1 << 20
_READY = 200


class Prober:
    """See the module.

    Args:
        replica: who is asked.
        told: how.
        on_ready: called when it has become ready.
    """

    def __init__(self, replica: Replica, told: FitnessRecipe, *, on_ready: Callable[[], None]) -> None:
        self._replica, self._told, self._on_ready = replica, told, on_ready
        self._question = Outgoing("GET", told.path, headers=[], host=b"", body=b"")
        self._link: Link | None = None

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                await self._once()
                is_ready = self._replica.fitness.is_ready
                await asyncio.sleep(self._told.every_s if is_ready else min(_EAGER_S, self._told.every_s))
        finally:
            self._hang_up()

    async def _once(self) -> None:
        fitness, before = self._replica.fitness, self._replica.fitness.is_ready
        try:
            async with asyncio.timeout(self._told.within_s):
                fitness.said(await self._ask() == _READY, now=time.monotonic())
        except TimeoutError:
            self._hang_up()
            if fitness.silent():
                self._replica.gone("the replica is silent")
        except BrokenLinkError:  # as it is when a kept connection has grown old; the next one will tell
            self._hang_up()
            if fitness.silent():
                self._replica.gone("the replica breaks off")
        except OSError:
            self._replica.gone("the replica takes no connections")
        if fitness.is_ready != before:
            _LOG.warning("replica %s is %s", self._replica.name, "ready" if fitness.is_ready else "not ready")
        if fitness.is_ready and not before:
            self._on_ready()

    async def _ask(self) -> int:
        if self._link is None or not self._link.can_carry_more:
            self._hang_up()
            self._link = await self._replica.address.connect(lambda: Link(whole_bytes=_MOST_BYTES))
        await self._link.ask(self._question.method, self._question.head(self._replica.address), b"")
        return self._link.status

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.end()
            self._link = None
