"""The simulation itself: one event after another, no clock, no network.

A replica takes requests in the order they come, ``instances`` at one time; the gateway before it is the policy, the
very class that the real one uses, with the loads kept as it keeps them. Promise: a function of its recipe alone.

Trade: a replica here packs no batches, so that a request takes as long beside others as it does alone; give times that
were measured under load. The network takes no time.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from penjing.fleet.policies import Load, Policy, PolicyName, Work, policy_named
from penjing.fleet.policies.prefix import PrefixAware
from penjing.fleet.simulation.arrivals import Arrival
from penjing.fleet.simulation.outcome import Outcome
from penjing.fleet.simulation.recipe import SimulateRecipe

_REMEMBERED = 4096  # blocks that a replica's own cache holds


@dataclass(slots=True)
class _Replica:
    """One that only counts time."""

    load: Load
    speed: float
    free: int
    waiting: deque[_Request] = field(default_factory=deque)
    busy_s: float = 0.0


@dataclass(eq=False, slots=True)
class _Request:
    """One on its way."""

    came: Arrival
    work: Work
    began_s: float = 0.0
    replica: _Replica | None = None


class _Run:
    """One policy over all the traffic."""

    def __init__(self, recipe: SimulateRecipe, policy: Policy) -> None:
        self._recipe, self._policy = recipe, policy
        speeds = (*recipe.speeds, *(1.0 for _ in range(recipe.replicas - len(recipe.speeds))))
        self.replicas = [
            _Replica(Load(str(number), weight=speed), speed, recipe.instances) for number, speed in enumerate(speeds)
        ]
        self._loads = [replica.load for replica in self.replicas]
        self._of = {replica.load.name: replica for replica in self.replicas}
        self._caches = PrefixAware(remembered=_REMEMBERED)  # what replicas have truly read, not what a policy assumes
        self._ends: list[tuple[float, int, _Request]] = []
        self._line: deque[_Request] = deque()
        self._count = 0
        self.latencies_ms: list[float] = []
        self.waits_ms: list[float] = []

    def go(self, traffic: list[Arrival]) -> float:
        """Until the last request is answered; when that is."""
        now = 0.0
        for came in traffic:
            while self._ends and self._ends[0][0] <= came.at_s:
                now = self._end()
            now = came.at_s
            self._line.append(_Request(came, self._estimated(came)))
            self._place(now)
        while self._ends:
            now = self._end()
        return now

    def _estimated(self, came: Arrival) -> Work:
        known, usual = self._recipe.known_tokens, self._recipe.traffic.mean_tokens
        equivalent = self._recipe.base_ms / self._recipe.ms_per_token if self._recipe.ms_per_token else 1.0
        return Work(equivalent + usual + known * (came.tokens - usual), came.key, came.prefix)

    def _place(self, now: float) -> None:
        most = self._recipe.max_in_flight
        while self._line:
            able = [load for load in self._loads if load.in_flight < most] if most else self._loads
            if not able:
                return
            request = self._line.popleft()
            load = self._policy.choose(request.work, able)
            load.take(request.work, now=now)
            replica = request.replica = self._of[load.name]
            replica.waiting.append(request)
            self._work(replica, now)

    def _work(self, replica: _Replica, now: float) -> None:
        while replica.free and replica.waiting:
            request = replica.waiting.popleft()
            replica.free -= 1
            request.began_s = now
            seconds = self._seconds(request, replica)
            replica.busy_s += seconds
            self._count += 1
            heapq.heappush(self._ends, (now + seconds, self._count, request))

    def _seconds(self, request: _Request, replica: _Replica) -> float:
        recipe, came, name = self._recipe, request.came, replica.load.name
        tokens = came.tokens
        if recipe.cached and came.prefix:
            tokens *= 1 - recipe.cached * self._caches.known(name, came.prefix)
            self._caches.note(name, came.prefix)
        return (recipe.base_ms + recipe.ms_per_token * tokens) * came.slowness / replica.speed / 1000

    def _end(self) -> float:
        now, _, request = heapq.heappop(self._ends)
        replica = request.replica
        if replica is None:  # nothing ends that was not placed
            raise RuntimeError("a request ended that nobody had")
        replica.free += 1
        replica.load.answered(request.work, now=now)
        self.latencies_ms.append((now - request.came.at_s) * 1000)
        self.waits_ms.append((request.began_s - request.came.at_s) * 1000)
        self._work(replica, now)
        self._place(now)
        return now


def simulate(recipe: SimulateRecipe, name: PolicyName, traffic: list[Arrival]) -> Outcome:
    """Try a policy.

    Args:
        recipe: the fleet.
        name: of the policy.
        traffic: see :func:`penjing.fleet.simulation.arrivals.arrivals_of`.
    """
    run = _Run(recipe, policy_named(name, seed=recipe.seed))
    end = run.go(traffic)
    warm = min(recipe.warm, len(traffic) - 1)
    waits = run.waits_ms[warm:]
    shares = [replica.busy_s / end / recipe.instances if end else 0.0 for replica in run.replicas]
    return Outcome(
        policy=name,
        latencies_ms=tuple(run.latencies_ms[warm:]),
        wait_ms=sum(waits) / len(waits),
        busy_s=sum(replica.busy_s for replica in run.replicas),
        replica_s=end * recipe.replicas,
        busiest=max(shares),
        idlest=min(shares),
    )
