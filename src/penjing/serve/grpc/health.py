"""gRPC's own health protocol.

Promise: SERVING means what ``/readyz`` means with 200: loaded, warm, and not stopping. The empty name and the
names of our services stand for the whole server; a model's name stands for that model.

Source: grpc/grpc, ``doc/health-checking.md``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from types import MappingProxyType
from typing import Any

import grpc

from penjing.core.errors import ModelNotFoundError
from penjing.security.needs import LOOK, OPEN, Need
from penjing.serve.api.faults import text_of
from penjing.serve.grpc.calls import Answer, Call, Calls
from penjing.serve.grpc.messages import filled, message
from penjing.serve.plane import DataPlane

_LOOK_EVERY_S = 0.1
_REQUEST, _RESPONSE, _LIST = (
    f"grpc.health.v1.{name}" for name in ("HealthCheckRequest", "HealthCheckResponse", "HealthListResponse")
)


class Health:
    """See the module.

    Args:
        plane: whose models.
        services: names that stand for the whole server.
        calls: tells watchers when to end.
    """

    name = "grpc.health.v1.Health"
    needs: Mapping[str, Need] = MappingProxyType({"Check": OPEN, "Watch": OPEN, "List": LOOK})

    def __init__(self, plane: DataPlane, services: Collection[str], calls: Calls) -> None:
        self._plane = plane
        self._calls = calls
        self._whole = {"", *services, self.name}

    def answers(self) -> Mapping[str, Answer]:
        """See :class:`penjing.serve.grpc.calls.Service`."""
        return {"Check": self._check, "List": self._list}

    def text_of(self, error: Exception) -> str:
        """See :class:`penjing.serve.grpc.calls.Service`."""
        return text_of(error)

    def watching(self) -> Any:
        """GRPC's handler of ``Watch``: the state now, and each time it has changed."""
        return grpc.unary_stream_rpc_method_handler(
            self._watch,
            request_deserializer=message(_REQUEST).FromString,
            response_serializer=message(_RESPONSE).SerializeToString,
        )

    async def _check(self, request: Any, _call: Call) -> Any:
        state = self._state(request.service)
        if state == "SERVICE_UNKNOWN":
            raise ModelNotFoundError(f"unknown service {request.service!r}", expected="a service, a model or nothing")
        return filled(_RESPONSE, {"status": state})

    async def _list(self, _request: Any, _call: Call) -> Any:
        names = sorted({*self._whole, *self._plane.models.names()})
        return filled(_LIST, {"statuses": {name: {"status": self._state(name)} for name in names}})

    async def _watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        told = ""
        while not self._calls.is_over:
            state = self._state(request.service)
            if state != told:
                told = state
                yield filled(_RESPONSE, {"status": state})
            await asyncio.sleep(_LOOK_EVERY_S)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping")

    def _state(self, name: str) -> str:
        models = self._plane.models
        is_whole = name in self._whole
        if not is_whole and name not in models.names():
            return "SERVICE_UNKNOWN"
        waits = models.why_not_ready() if is_whole else models.why_not(name)
        return "NOT_SERVING" if waits or self._plane.is_draining else "SERVING"
