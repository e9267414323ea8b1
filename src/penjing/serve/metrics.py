"""Every metric of the server, in one table.

=========================  =========  ===================  ==============================================
name                       kind       labels               meaning
=========================  =========  ===================  ==============================================
penjing_requests_total     counter    model, status        requests answered, by canonical status
penjing_refused_total      counter    model, reason        refused at the door: overloaded, draining
penjing_tokens_total       counter    model                real tokens answered
penjing_sequences_total    counter    model                texts or token lists answered
penjing_cut_texts_total    counter    model                texts cut to the model's limit
penjing_stage_texts_total  counter    model, stage         texts that each stage of a cascade answered
penjing_request_ms         histogram  model                the whole of a predict request
penjing_tokenize_ms        histogram  model                turning text into tokens
penjing_queue_ms           histogram  model                waiting for an engine
penjing_run_ms             histogram  model                packing and running
penjing_request_tokens     histogram  model                real tokens of one request
penjing_batch_fill         histogram  model                share of batch cells that held real tokens
penjing_queue_tokens       gauge      model, version       tokens admitted and waiting
penjing_tokens_per_s       gauge      model, version       speed of the engine, measured lately
penjing_engine_failures    gauge      model, version       requests the engine failed on since loading
penjing_version_state      gauge      model, version       10 start, 20 loading, 30 available, 40 unloading, 50 end
=========================  =========  ===================  ==============================================

TensorFlow Serving's own names stand beside them: ``:tensorflow:serving:request_count`` (model_name,
status), ``:tensorflow:serving:request_latency`` (model_name, API, entrypoint; microseconds) and
``:tensorflow:serving:request_example_count_total`` (model).

Promises: no global registry; labels come from models that exist, so a flood of invented names does
not grow the page; counting a request takes some microseconds. Trade: the client library's own meters
take ten times as long, so only its text format is used.

Source of the latter names: ``tensorflow_serving/servables/tensorflow/util.cc``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Literal, NamedTuple

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from penjing.serve.answers import Cost
from penjing.serve.versions import Version

_MS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000)
_TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16_384, 65_536)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
_TF_MICROSECONDS = tuple(10 * 1.8**k for k in range(33))
_TF_COUNT = ":tensorflow:serving:request_count"
_TF_LATENCY = ":tensorflow:serving:request_latency"
_TF_EXAMPLES = ":tensorflow:serving:request_example_count_total"

Labels = tuple[str, ...]


class Metric(NamedTuple):
    """One row of the table."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: Labels
    meaning: str
    buckets: tuple[float, ...] = ()


METRICS = (
    Metric("penjing_requests_total", "counter", ("model", "status"), "Requests answered, by canonical status."),
    Metric("penjing_refused_total", "counter", ("model", "reason"), "Refused at the door: overloaded, draining."),
    Metric("penjing_tokens_total", "counter", ("model",), "Real tokens answered."),
    Metric("penjing_sequences_total", "counter", ("model",), "Texts or token lists answered."),
    Metric("penjing_cut_texts_total", "counter", ("model",), "Texts cut to the model's limit."),
    Metric("penjing_stage_texts_total", "counter", ("model", "stage"), "Texts that each stage of a cascade answered."),
    Metric("penjing_request_ms", "histogram", ("model",), "The whole of a predict request.", _MS),
    Metric("penjing_tokenize_ms", "histogram", ("model",), "Turning text into tokens.", _MS),
    Metric("penjing_queue_ms", "histogram", ("model",), "Waiting for an engine.", _MS),
    Metric("penjing_run_ms", "histogram", ("model",), "Packing and running.", _MS),
    Metric("penjing_request_tokens", "histogram", ("model",), "Real tokens of one request.", _TOKENS),
    Metric("penjing_batch_fill", "histogram", ("model",), "Share of batch cells that held real tokens.", _SHARES),
    Metric("penjing_queue_tokens", "gauge", ("model", "version"), "Tokens admitted and waiting."),
    Metric("penjing_tokens_per_s", "gauge", ("model", "version"), "Speed of the engine, measured lately."),
    Metric("penjing_engine_failures", "gauge", ("model", "version"), "Requests the engine failed on since loading."),
    Metric(
        "penjing_version_state",
        "gauge",
        ("model", "version"),
        "10 start, 20 loading, 30 available, 40 unloading, 50 end.",
    ),
    Metric(f"{_TF_COUNT}_total", "counter", ("model_name", "status"), "Requests answered (TensorFlow Serving's name)."),
    Metric(
        _TF_LATENCY,
        "histogram",
        ("model_name", "API", "entrypoint"),
        "Microseconds of a request (TensorFlow Serving's name).",
        _TF_MICROSECONDS,
    ),
    Metric(
        _TF_EXAMPLES,
        "counter",
        ("model",),
        "Examples (TensorFlow Serving's name).",
    ),
)


_TABLE = {metric.name: metric for metric in METRICS}


class Count:
    """A number that grows. For one thread at a time."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Spread:
    """A histogram. For one thread at a time."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound → how many lie at or below it, as Prometheus wants them."""
        return list(zip([*map(str, map(float, self._bounds)), "+Inf"], accumulate(self.counts), strict=True))


class ModelMeters:
    """The meters of one model, looked up once."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._metrics, self._model = metrics, model
        self._tokens = metrics.count("penjing_tokens_total", model)
        self._sequences = metrics.count("penjing_sequences_total", model)
        self._cut = metrics.count("penjing_cut_texts_total", model)
        self._examples = metrics.count(_TF_EXAMPLES, model)
        self._request_ms = metrics.spread("penjing_request_ms", model)
        self._tokenize_ms = metrics.spread("penjing_tokenize_ms", model)
        self._queue_ms = metrics.spread("penjing_queue_ms", model)
        self._run_ms = metrics.spread("penjing_run_ms", model)
        self._request_tokens = metrics.spread("penjing_request_tokens", model)
        self._fill = metrics.spread("penjing_batch_fill", model)

    def answered(self, cost: Cost, *, sequences: int) -> None:
        """Count what one answered request cost."""
        self._tokens.value += cost.tokens
        self._sequences.value += sequences
        self._examples.value += sequences
        self._cut.value += cost.cut
        for number, texts in enumerate(cost.stages, start=1):
            self._metrics.count("penjing_stage_texts_total", self._model, str(number)).value += texts
        self._tokenize_ms.observe(cost.tokenize_ms)
        self._queue_ms.observe(cost.queue_ms)
        self._run_ms.observe(cost.run_ms)
        self._request_tokens.observe(cost.tokens)
        self._fill.observe(cost.batch_fill)

    def refused(self, reason: str) -> None:
        """Count a refusal at the door."""
        self._metrics.count("penjing_refused_total", self._model, reason).value += 1

    def replied(self, status: str, *, api: str, seconds: float, entrypoint: Literal["REST", "GRPC"] = "REST") -> None:
        """Count a reply, whatever it said."""
        self._metrics.count("penjing_requests_total", self._model, status).value += 1
        self._metrics.count(f"{_TF_COUNT}_total", self._model, status).value += 1
        self._metrics.spread(_TF_LATENCY, self._model, api, entrypoint).observe(seconds * 1e6)
        self._request_ms.observe(seconds * 1e3)


class Metrics:
    """The meters of one server. Counted on the event loop only."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, Labels], Count] = {}
        self._spreads: dict[tuple[str, Labels], Spread] = {}
        self._models: dict[str, ModelMeters] = {}

    def of(self, model: str) -> ModelMeters:
        """The meters of a model. Ask only for models that exist."""
        meters = self._models.get(model)
        if meters is None:
            meters = self._models[model] = ModelMeters(self, model)
        return meters

    def count(self, name: str, *labels: str) -> Count:
        """A counter of the table."""
        meter = self._counts.get((name, labels))
        if meter is None:
            meter = self._counts[name, labels] = Count()
        return meter

    def spread(self, name: str, *labels: str) -> Spread:
        """A histogram of the table."""
        meter = self._spreads.get((name, labels))
        if meter is None:
            meter = self._spreads[name, labels] = Spread(_TABLE[name].buckets)
        return meter

    def page(self, versions: Iterable[Version]) -> bytes:
        """The Prometheus text, with the gauges as they stand now."""
        gauges = {labels: values for version in versions for labels, values in [_gauges(version)]}
        # The text format wants _total behind each counter; TensorFlow Serving's has none.
        page = generate_latest(_Collected(list(self._families(gauges))))
        return page.replace(f"{_TF_COUNT}_total".encode(), _TF_COUNT.encode())

    def _families(self, gauges: dict[Labels, dict[str, float]]) -> Iterator[Family]:
        for metric in METRICS:
            if metric.kind == "counter":
                counter = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
                for (name, labels), count in self._counts.items():
                    if name == metric.name:
                        counter.add_metric(labels, count.value)
                yield counter
            elif metric.kind == "gauge":
                gauge = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
                for labels, values in gauges.items():
                    gauge.add_metric(labels, values[metric.name])
                yield gauge
            else:
                histogram = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
                for (name, labels), spread in self._spreads.items():
                    if name == metric.name:
                        histogram.add_metric(labels, buckets=spread.buckets(), sum_value=spread.total)
                yield histogram


class _Collected:
    """What the text format reads from."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> list[Family]:
        return self._families


def _gauges(version: Version) -> tuple[Labels, dict[str, float]]:
    lane = version.lane
    return (version.model, str(version.number)), {
        "penjing_version_state": float(version.state),
        "penjing_queue_tokens": lane.queue_tokens if lane else 0,
        "penjing_tokens_per_s": lane.tokens_per_s if lane else 0,
        "penjing_engine_failures": lane.failures if lane else 0,
    }
