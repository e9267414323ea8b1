"""Every metric of the gateway, in one table; the reference prints it.

Promises: as :mod:`penjing.serve.metrics`: no global registry, labels only of replicas that exist.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from penjing.fleet.replica import Replica
from penjing.serve.metrics import Count, Metric, Spread

_MS = (0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000)

METRICS = (
    Metric("penjing_gateway_replies_total", "counter", ("status",), "Replies to clients, by HTTP status or gRPC code."),
    Metric("penjing_gateway_repeated_total", "counter", ("reason",), "Requests sent again: broken, refused."),
    Metric("penjing_gateway_request_ms", "histogram", (), "A request from its body to its reply.", _MS),
    Metric("penjing_gateway_wait_ms", "histogram", (), "Of that, waiting for a seat at a replica.", _MS),
    Metric("penjing_gateway_waiting", "gauge", (), "Requests that wait for a seat."),
    Metric("penjing_gateway_in_flight", "gauge", ("replica",), "Requests sent to a replica and not answered."),
    Metric("penjing_gateway_tokens", "gauge", ("replica",), "Their work, in estimated tokens."),
    Metric("penjing_gateway_us_per_token", "gauge", ("replica",), "The pace of a replica, as learnt."),
    Metric("penjing_gateway_ready", "gauge", ("replica",), "Whether a replica is ready: 0 or 1."),
    Metric("penjing_gateway_aside", "gauge", ("replica",), "Whether it is put aside for failing: 0 or 1."),
    Metric("penjing_gateway_ejections_total", "counter", ("replica",), "How often it was put aside."),
    Metric("penjing_gateway_restarts_total", "counter", ("replica",), "How often its process was started anew."),
)


class Metrics:
    """The meters of one gateway. Counted on the event loop only."""

    def __init__(self) -> None:
        self._replies: dict[int | str, Count] = {}
        self._repeated = {"broken": Count(), "refused": Count()}
        self.request_ms, self.wait_ms = Spread(_MS), Spread(_MS)

    def replied(self, status: int | str, *, seconds: float) -> None:
        """Count a reply."""
        count = self._replies.get(status)
        if count is None:
            count = self._replies[status] = Count()
        count.value += 1
        self.request_ms.observe(seconds * 1e3)

    def repeated(self, reason: str) -> None:
        """Count a request that is sent again."""
        self._repeated[reason].value += 1

    def page(self, replicas: Iterable[Replica], *, waiting: int) -> bytes:
        """The Prometheus text, with the gauges as they stand now."""
        return generate_latest(_Collected(list(self._families(list(replicas), waiting))))

    def _families(self, replicas: list[Replica], waiting: int) -> Iterator[Family]:
        values: dict[str, dict[tuple[str, ...], float]] = {
            "penjing_gateway_replies_total": {(str(status),): count.value for status, count in self._replies.items()},
            "penjing_gateway_repeated_total": {(reason,): count.value for reason, count in self._repeated.items()},
            "penjing_gateway_waiting": {(): waiting},
        }
        for replica in replicas:
            for name, value in _facts(replica).items():
                values.setdefault(name, {})[replica.name,] = value
        spreads = {"penjing_gateway_request_ms": self.request_ms, "penjing_gateway_wait_ms": self.wait_ms}
        for metric in METRICS:
            if metric.kind == "histogram":
                histogram = HistogramMetricFamily(metric.name, metric.meaning)
                spread = spreads[metric.name]
                histogram.add_metric((), buckets=spread.buckets(), sum_value=spread.total)
                yield histogram
                continue
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in values.get(metric.name, {}).items():
                family.add_metric(labels, value)
            yield family


def _facts(replica: Replica) -> dict[str, float]:
    load, fitness = replica.load, replica.fitness
    facts = {
        "penjing_gateway_in_flight": float(load.in_flight),
        "penjing_gateway_tokens": load.tokens,
        "penjing_gateway_us_per_token": (load.seconds_per_token or 0.0) * 1e6,
        "penjing_gateway_ready": float(fitness.is_ready),
        "penjing_gateway_aside": float(fitness.is_ejected(now=time.monotonic())),
        "penjing_gateway_ejections_total": float(fitness.ejections),
    }
    return facts if replica.restarts is None else facts | {"penjing_gateway_restarts_total": float(replica.restarts)}


class _Collected:
    """What the text format reads from."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> list[Family]:
        return self._families
