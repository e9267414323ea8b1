"""Life signs: ``/healthz``, ``/readyz``, ``/readyz/<model>``, ``/metrics``.

Promise: ready means that every model the server was told to serve has a version that is loaded and
warm, and that the server is not stopping. TensorFlow Serving's metrics path gives the same page.
"""

from __future__ import annotations

import json

from penjing.serve.api.http import Reply, Request
from penjing.serve.plane import DataPlane

METRICS_PATHS = ("/metrics", "/monitoring/prometheus/metrics")
_READY = "/readyz"


class Health:
    """See the module."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def claims(self, path: str) -> bool:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return path in ("/healthz", _READY, *METRICS_PATHS) or path.startswith(f"{_READY}/")

    async def answer(self, request: Request) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        if request.method not in ("GET", "HEAD"):
            return _json(405, {"error": f"{request.method} {request.path}: expected GET"})
        if request.path == "/healthz":
            return _json(200, {"alive": True})
        if request.path in METRICS_PATHS:
            return Reply(200, self._plane.metrics.page(self._plane.models.all()), b"text/plain; version=0.0.4")
        return self._readiness(request.path.removeprefix(_READY).removeprefix("/"))

    def fault(self, error: Exception) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return _json(500, {"error": str(error)})

    def _readiness(self, model: str) -> Reply:
        models = self._plane.models
        reasons = models.why_not_ready()
        if model and model not in models.names():
            return _json(404, {"ready": False, "error": f"model {model} is unknown"})
        if model:
            reasons = {name: why for name, why in reasons.items() if name == model}
        if self._plane.is_draining:
            reasons = {"": "the server is stopping"} | reasons
        shown = {name or "server": why for name, why in reasons.items()}
        return _json(503 if reasons else 200, {"ready": not reasons, "waiting_for": shown})


def _json(status: int, value: dict[str, object]) -> Reply:
    return Reply(status, json.dumps(value).encode())
