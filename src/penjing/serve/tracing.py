"""OpenTelemetry spans: one a request, and below it one for each part of its cost.

Made when a request is done, from what it measured anyway, so that tracing costs nothing before that. Spans are sent
in the background; a collector that is slow or gone costs spans, never requests.

Source: OpenTelemetry's specification of spans and its semantic conventions for HTTP and RPC.
"""

from __future__ import annotations

import time
from typing import Any

from penjing.core.extras import require
from penjing.serve.finished import Finished

_PARTS = ("tokenize", "queue", "run")
_NS = 1_000_000_000


class Tracer:
    """See the module.

    Args:
        provider: OpenTelemetry's, with whatever exports the spans.
    """

    def __init__(self, provider: Any) -> None:
        for module in ("opentelemetry.trace", "opentelemetry.trace.propagation.tracecontext"):
            require(module, extra="telemetry")
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider, self._trace = provider, trace
        self._tracer = provider.get_tracer("penjing.serve")
        self._context = TraceContextTextMapPropagator()

    def trace(self, request: Finished, *, took_s: float) -> str:
        """Make the spans of a request; its ``traceparent``."""
        end = time.time_ns()
        began = end - int(took_s * _NS)
        status = "http.response.status_code" if request.transport == "http" else "rpc.grpc.status"
        span = self._tracer.start_span(
            request.what,
            context=self._context.extract({"traceparent": request.traceparent}),
            kind=self._trace.SpanKind.SERVER,
            attributes={status: request.status} | {f"penjing.{name}": value for name, value in request.cost.items()},
            start_time=began,
        )
        if request.is_fault:
            span.set_status(self._trace.StatusCode.ERROR)
        inside = self._trace.set_span_in_context(span)
        at = began
        for part in _PARTS if request.cost else ():
            until = at + int(request.cost.get(f"{part}-ms", 0.0) * _NS / 1000)
            self._tracer.start_span(part, context=inside, start_time=at).end(until)
            at = until
        span.end(end)
        carrier: dict[str, str] = {}
        self._context.inject(carrier, inside)
        return carrier.get("traceparent", "")

    def close(self) -> None:
        """Send what has not been sent yet."""
        self._provider.shutdown()


def open_tracer(endpoint: str) -> Tracer:
    """A tracer that sends over OTLP by HTTP.

    Args:
        endpoint: a collector's, such as ``http://localhost:4318/v1/traces``.

    Raises:
        ResourceError: the extra ``telemetry`` is not installed.
    """
    sdk = require("opentelemetry.sdk.trace", extra="telemetry")
    exporting = require("opentelemetry.sdk.trace.export", extra="telemetry")
    otlp = require("opentelemetry.exporter.otlp.proto.http.trace_exporter", extra="telemetry")
    resources = require("opentelemetry.sdk.resources", extra="telemetry")
    provider = sdk.TracerProvider(resource=resources.Resource.create({"service.name": "penjing"}))
    provider.add_span_processor(exporting.BatchSpanProcessor(otlp.OTLPSpanExporter(endpoint=endpoint)))
    return Tracer(provider)
