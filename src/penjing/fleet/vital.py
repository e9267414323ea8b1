"""What the gateway answers for itself: ``/healthz``, ``/readyz``, ``/metrics``, ``/replicas``.

Promise: ready means that every model the gateway was told of has a replica that is ready, and that the gateway is not
stopping. All other paths are the replicas'.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from penjing.fleet.metrics import Metrics
from penjing.fleet.replica import Replica
from penjing.fleet.seats import Seats
from penjing.serve.api.http import Reply, json_reply

_PATHS = ("/healthz", "/readyz", "/metrics", "/replicas")


class Vital:
    """See the module.

    Args:
        replicas: those there are.
        seats: whose line is told of.
        metrics: shown.

    Attributes:
        is_draining: set when the gateway stops.
    """

    def __init__(self, replicas: Sequence[Replica], seats: Seats, metrics: Metrics) -> None:
        self._replicas, self._seats, self._metrics = replicas, seats, metrics
        self.is_draining = False

    def answer(self, method: str, path: str) -> Reply | None:
        """The reply, or None where the path is not the gateway's own."""
        if path not in _PATHS:
            return None
        if method not in ("GET", "HEAD"):
            return json_reply(405, {"error": f"{method} {path}: expected GET"})
        if path == "/healthz":
            return json_reply(200, {"alive": True})
        if path == "/readyz":
            reasons = self.why_not_ready()
            return json_reply(503 if reasons else 200, {"ready": not reasons, "waiting_for": reasons})
        if path == "/replicas":
            return json_reply(200, {"replicas": [_facts(one) for one in self._replicas]})
        page = self._metrics.page(self._replicas, waiting=self._seats.waiting)
        return Reply(200, page, b"text/plain; version=0.0.4")

    def why_not_ready(self) -> dict[str, str]:
        """Model → why it cannot be asked; ``gateway`` where it is not about one."""
        if self.is_draining:
            return {"gateway": "it is stopping"}
        ready = [replica for replica in self._replicas if replica.fitness.is_ready]
        models = {model for replica in self._replicas for model in replica.models or ()}
        lacking = {m: "no replica of it is ready" for m in sorted(models) if not any(r.has(m) for r in ready)}
        return lacking or ({} if ready else {"gateway": "no replica is ready"})


def _facts(replica: Replica) -> dict[str, Any]:
    load, fitness = replica.load, replica.fitness
    pace = load.seconds_per_token
    return {
        "name": replica.name,
        "url": replica.address.spelled,
        "models": replica.models,
        "weight": load.weight,
        "ready": fitness.is_ready,
        "aside": fitness.is_ejected(now=time.monotonic()),
        "in_flight": load.in_flight,
        "tokens": round(load.tokens, 1),
        "us_per_token": None if pace is None else round(pace * 1e6, 3),
        "restarts": replica.restarts,
    }
