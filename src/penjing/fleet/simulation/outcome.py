"""What a simulation found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one policy did.

    Attributes:
        policy: which.
        latencies_ms: of each request that is counted, in order.
        wait_ms: mean time before anybody worked on a request.
        busy_s: time in which engine instances worked, all together.
        replica_s: time for which replicas were there, all together.
        busiest, idlest: the most and the least that a replica was busy, as shares of the time.
    """

    policy: str
    latencies_ms: tuple[float, ...]
    wait_ms: float
    busy_s: float
    replica_s: float
    busiest: float
    idlest: float

    def facts(self) -> dict[str, float | str]:
        """As plain data, latencies by their percentiles."""
        found = sorted(self.latencies_ms)
        return {
            "policy": self.policy,
            "requests": len(found),
            "mean_ms": sum(found) / len(found),
            "p50_ms": percentile(found, 50),
            "p99_ms": percentile(found, 99),
            "p99_9_ms": percentile(found, 99.9),
            "wait_ms": self.wait_ms,
            "busy_s": self.busy_s,
            "replica_s": self.replica_s,
            "busiest": self.busiest,
            "idlest": self.idlest,
        }


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Of numbers in order, the smallest that so many per cent do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
