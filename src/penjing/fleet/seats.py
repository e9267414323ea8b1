"""Who is sent where, and who waits.

A replica has so many seats; a request that finds one free at a replica that is fit and has its model is placed
by the policy at once. Otherwise it waits in line, bounded in number and in time, and takes the next seat that
becomes free: waiting here instead of at a replica keeps the choice open until somebody has time.

Promises: whoever waits is placed or refused, once, by its deadline; whoever came first is placed first, among those for
whom there is a seat; with every fit replica put aside, the line still moves: then they are all asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from penjing.core.errors import DeadlineError, ModelNotFoundError, NotReadyError, OverloadedError
from penjing.fleet.policies import Policy, Work
from penjing.fleet.replica import Replica

_FEWEST_S, _MOST_S = 1.0, 60.0


@dataclass(eq=False, slots=True)
class _Waiting:
    """Somebody in line."""

    work: Work
    model: str
    avoid: frozenset[Replica]
    placed: asyncio.Future[Replica] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Seats:
    """See the module.

    Args:
        replicas: those there are; may change from outside.
        policy: chooses.
        most_waiting: in line at one time.
        wait_s: the longest that anybody waits.

    Attributes:
        beside: another line for the same seats, which is served next.
    """

    def __init__(self, replicas: Sequence[Replica], policy: Policy, *, most_waiting: int, wait_s: float) -> None:
        self._replicas, self._policy = replicas, policy
        self._most_waiting, self._wait_s = most_waiting, wait_s
        self._line: list[_Waiting] = []
        self._left_at: list[float] = []  # when seats became free of late
        self.beside: Seats | None = None

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return len(self._line)

    async def take(self, work: Work, model: str, *, until: float, avoid: Iterable[Replica] = ()) -> Replica:
        """A seat, to be given back by :meth:`left` once the load of the replica has been told.

        Args:
            work: what is asked.
            model: of whom; empty is any.
            until: the request's deadline, on the clock of ``time.monotonic``.
            avoid: replicas that failed it, which are asked again only if there is nobody else.

        Raises:
            ModelNotFoundError: no replica has the model.
            OverloadedError: too many are in line, or it would be too late for this one.
            NotReadyError: it waited, and there was no fit replica in all that time.
            DeadlineError: its own deadline passed first.
        """
        one = _Waiting(work, model, frozenset(avoid))
        if not self._line and (replica := self._place(one)):
            return replica
        self._check(one)
        self._line.append(one)
        self._serve()
        limit = min(until, time.monotonic() + self._wait_s)
        try:
            async with asyncio.timeout(limit - time.monotonic()):
                return await one.placed
        except TimeoutError:
            if one.placed.done() and not one.placed.cancelled():
                return one.placed.result()
            raise self._too_late(one, by_request=limit == until) from None
        except asyncio.CancelledError:
            if one.placed.done() and not one.placed.cancelled():  # placed and departed at the same time
                one.placed.result().load.lost(work)
                self.left()
            raise
        finally:
            if one in self._line:
                self._line.remove(one)

    def left(self) -> None:
        """A seat has become free, or a replica fit."""
        self._left_at.append(time.monotonic())
        del self._left_at[:-64]
        if self._line:
            self._serve()
        if self.beside is not None and self.beside.waiting:
            self.beside._serve()

    def retry_after_s(self) -> float:
        """When those in line will have been placed, as fast as seats became free of late."""
        if len(self._left_at) < 2 or self._left_at[-1] <= self._left_at[0]:
            return _FEWEST_S
        per_s = (len(self._left_at) - 1) / (time.monotonic() - self._left_at[0])
        return min(_MOST_S, max(_FEWEST_S, len(self._line) / per_s))

    def _serve(self) -> None:
        for one in list(self._line):
            if one.placed.done():
                continue
            if replica := self._place(one):
                self._line.remove(one)
                one.placed.set_result(replica)
            elif not any(replica.has_room for replica in self._replicas):
                return

    def _place(self, one: _Waiting) -> Replica | None:
        now = time.monotonic()
        fit = [r for r in self._replicas if r.fitness.is_ready and not r.is_leaving and r.has(one.model)]
        able = [replica for replica in fit if not replica.fitness.is_ejected(now=now)] or fit
        able = [replica for replica in able if replica not in one.avoid] or able
        able = [replica for replica in able if replica.has_room]
        if not able:
            return None
        if len(able) == 1:
            chosen = able[0]
        else:
            for replica in able:
                replica.load.share = replica.fitness.share(now=now)
            load = self._policy.choose(one.work, [replica.load for replica in able])
            chosen = next(replica for replica in able if replica.load is load)
        chosen.load.take(one.work, now=now)
        return chosen

    def _check(self, one: _Waiting) -> None:
        if not any(replica.has(one.model) for replica in self._replicas):
            raise ModelNotFoundError(f"no replica has the model {one.model}")
        if len(self._line) >= self._most_waiting:
            raise OverloadedError(
                f"{len(self._line)} requests wait for a replica",
                retry_after_s=self.retry_after_s(),
                expected=f"fewer than {self._most_waiting}",
                do="Come back later.",
            )

    def _too_late(self, one: _Waiting, *, by_request: bool) -> Exception:
        mine = [replica for replica in self._replicas if replica.has(one.model)]
        if not any(replica.fitness.is_ready for replica in mine):
            return NotReadyError(f"none of {len(mine)} replicas is ready", do="Come back later.")
        if by_request:
            return DeadlineError("the deadline passed before a replica had time", waiting=True)
        return OverloadedError("no replica had time", retry_after_s=self.retry_after_s(), do="Come back later.")
