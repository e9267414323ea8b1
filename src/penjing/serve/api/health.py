"""Life signs: ``/healthz``, ``/readyz``, ``/readyz/<model>``, ``/metrics``.

Promise: ready means that every model the server was told to serve, or found at first, has its versions loaded and
warm, and that the server is not stopping. TensorFlow Serving's metrics path gives the same page.
"""

from __future__ import annotations

from penjing.security.needs import LOOK, OBSERVE_ALL, OPEN
from penjing.serve.api.faults import plain_fault
from penjing.serve.api.http import Reply, Request, json_reply
from penjing.serve.api.routes import TEXT, TRUTH, Description, Route, record
from penjing.serve.plane import DataPlane
from penjing.serve.siblings import OWN, Siblings

METRICS_PATHS = ("/metrics", "/monitoring/prometheus/metrics")
_READY = "/readyz"
_PROMETHEUS = "text/plain; version=0.0.4"
_READINESS = record({"ready": TRUTH, "waiting_for": {"type": "object"}})
DESCRIPTION = Description(
    "Health",
    "Life signs and metrics.",
    (
        Route("GET", "/healthz", "Whether the process lives.", record({"alive": TRUTH}), where="bare", needs=OPEN),
        Route("GET", _READY, "Whether every model is ready.", _READINESS, errors=(503,), where="bare", needs=OPEN),
        Route(
            "GET",
            f"{_READY}/{{model}}",
            "Whether a model is ready.",
            _READINESS,
            errors=(404, 503),
            where="bare",
            needs=LOOK,
        ),
        *(
            Route(
                "GET", path, "Metrics for Prometheus.", TEXT, content_type=_PROMETHEUS, where="bare", needs=OBSERVE_ALL
            )
            for path in METRICS_PATHS
        ),
    ),
    record({}, {"error": TEXT, "ready": TRUTH}),
)


class Health:
    """See the module."""

    description = DESCRIPTION

    def __init__(self, plane: DataPlane, siblings: Siblings | None = None) -> None:
        self._plane = plane
        self._siblings = siblings

    def claims(self, path: str) -> bool:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return path in ("/healthz", _READY, *METRICS_PATHS) or path.startswith(f"{_READY}/")

    async def answer(self, request: Request) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        if request.method not in ("GET", "HEAD"):
            return json_reply(405, {"error": f"{request.method} {request.path}: expected GET"})
        if request.path == "/healthz":
            return json_reply(200, {"alive": True})
        if request.path in METRICS_PATHS:
            page = self._plane.metrics.page(self._plane.models.all())
            if self._siblings is not None and OWN not in request.query:
                page = await self._siblings.metrics(page)
            return Reply(200, page, _PROMETHEUS.encode())
        return self._readiness(request.path.removeprefix(_READY).removeprefix("/"))

    def fault(self, error: Exception) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return plain_fault(error)

    def _readiness(self, model: str) -> Reply:
        models = self._plane.models
        reasons = models.why_not_ready()
        if model and model not in models.names():
            return json_reply(404, {"ready": False, "error": f"model {model} is unknown"})
        if model:
            reasons = {model: why} if (why := models.why_not(model)) else {}
        if self._plane.is_draining:
            reasons = {"": "the server is stopping"} | reasons
        shown = {name or "server": why for name, why in reasons.items()}
        return json_reply(503 if reasons else 200, {"ready": not reasons, "waiting_for": shown})
