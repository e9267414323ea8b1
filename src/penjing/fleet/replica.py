"""One replica as the gateway keeps it: where it is, what it has, how it does, and how it is asked.

Promise: whatever becomes of a request, its work is taken off the replica's load and its connection given back, once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from penjing.fleet.fitness import Fitness, FitnessRecipe
from penjing.fleet.policies import Load, Work
from penjing.fleet.wire.address import Address
from penjing.fleet.wire.link import BrokenLinkError, Headers, Link
from penjing.fleet.wire.pool import Pool

_FAULTS_FROM = 500
_NOT_HERE = {501, 503}  # not done by anybody, or refused at the door: no sign of illness


class Replica:
    """See the module.

    Args:
        name: unique.
        address: where it listens.
        models: those it has; None is all.
        weight: its share beside others.
        most_in_flight: requests at one time.
        told: when it is fit.
        pool: connections to it.

    Attributes:
        load: what is under way there, for policies.
        fitness: whether to send it anything.
        is_leaving: it gets nothing new.
        grpc: where it speaks gRPC; None where it does not.
        on_gone: called when it does not answer any more.
        restarts: how often its process was started anew; None of one that the gateway did not start.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        *,
        models: tuple[str, ...] | None,
        weight: float,
        most_in_flight: int,
        told: FitnessRecipe,
        pool: Pool,
    ) -> None:
        self.name, self.address, self.models = name, address, models
        self.load, self.fitness = Load(name, weight=weight), Fitness(told)
        self.most_in_flight = most_in_flight
        self.is_leaving = False
        self.grpc: str | None = None
        self.on_gone: set[Callable[[], object]] = set()
        self.restarts: int | None = None
        self._pool = pool

    def has(self, model: str) -> bool:
        """Whether a request for a model, or for none in particular, may go there."""
        return self.models is None or not model or model in self.models

    @property
    def has_room(self) -> bool:
        """Whether one more request may be sent."""
        return self.load.in_flight < self.most_in_flight

    def gone(self, why: str) -> None:
        """It does not answer any more: whoever waits for it is told."""
        self.fitness.unreachable()
        self._pool.break_all(why)
        for tell in list(self.on_gone):
            tell()

    async def ask(self, request: Outgoing, *, until: float) -> Answer:
        """Send a request and wait for the reply, or for its beginning where it is long.

        Args:
            request: what is sent.
            until: on the clock of ``time.monotonic``.

        Raises:
            BrokenLinkError: there is no reply, or not all of it.
            TimeoutError: nor was there one in time.
        """
        link = None
        try:
            async with asyncio.timeout(until - time.monotonic()):
                link = await self._pool.take()
                await link.ask(request.method, request.head(self.address), request.body)
        except BaseException:
            if link is not None:
                link.end()
                self._pool.give_back(link)
            raise
        return Answer(self, link)

    def done_with(self, link: Link) -> None:
        """A reply has been read, or nobody wants the rest of it."""
        if not link.is_complete:
            link.end()
        self._pool.give_back(link)


class Outgoing:
    """A request on its way, the same to every replica but for whom it addresses.

    Args:
        method, target: as they came.
        headers: as they are passed on, without Host.
        host: as it came.
        body: all of it.
    """

    def __init__(self, method: str, target: str, *, headers: Headers, host: bytes, body: bytes) -> None:
        self.method, self._target, self._host, self.body = method.encode(), target.encode("latin-1"), host, body
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        # The length is always said, a body of nothing included, but where there is no body by nature.
        length = b"content-length: %d\r\n" % len(body) if body or method not in ("GET", "HEAD") else b""
        self._rest = lines + length + b"\r\n"

    def head(self, to: Address) -> bytes:
        """Request line and headers. A remote replica is called by its own name, a local one by the client's for us."""
        host = to.authority if to.host or not self._host else self._host
        target = to.below.encode() + self._target
        return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b" % (self.method, target, host, self._rest)


class Answer:
    """A reply that has begun, or is all there.

    Attributes:
        replica: whose.
        status, headers: names in lower case.
    """

    def __init__(self, replica: Replica, link: Link) -> None:
        self.replica, self._link = replica, link
        self.status, self.headers = link.status, link.headers
        self._is_over = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing is to come any more."""
        return self._link.is_complete

    @property
    def refuses(self) -> bool:
        """Whether the replica has done nothing about the request, and says so."""
        return self.status in (429, 503)

    def body(self) -> bytes:
        """Of one that is whole."""
        return self._link.body()

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes.

        Raises:
            BrokenLinkError: it ends too early.
        """
        return self._link.chunks()

    def end(self, work: Work) -> bool:
        """No more of it is wanted; False if that was known already."""
        if self._is_over:
            return False
        self._is_over = True
        self.replica.done_with(self._link)
        if self.is_whole and self.status < _FAULTS_FROM:
            self.replica.load.answered(work, now=time.monotonic())
        else:
            self.replica.load.lost(work)
        return True

    @property
    def is_fault(self) -> bool:
        """Whether it is a sign of illness."""
        return self.status >= _FAULTS_FROM and self.status not in _NOT_HERE


__all__ = ["Answer", "BrokenLinkError", "Outgoing", "Replica"]
