"""The gRPC server: a port, the services behind it, how it starts and how it stops.

It belongs to one event loop, and shares with HTTP the data plane and every limit: ``max_body_bytes`` bounds a
message, also after inflating, ``max_connections`` the calls at one time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from grpc import aio

from penjing.core.errors import ResourceError
from penjing.security.access import Access
from penjing.security.needs import Need
from penjing.serve.grpc.calls import Calls, Service
from penjing.serve.grpc.guard import Guard
from penjing.serve.grpc.health import Health
from penjing.serve.grpc.messages import service as described
from penjing.serve.grpc.open_inference.service import OpenInference
from penjing.serve.grpc.reflection import NAMES, NEEDS, Reflection
from penjing.serve.grpc.tensorflow_serving.model_service import ModelService
from penjing.serve.grpc.tensorflow_serving.prediction_service import PredictionService
from penjing.serve.plane import DataPlane
from penjing.serve.ports import listen, listen_unix, spelled
from penjing.serve.recipe import ServeRecipe
from penjing.serve.tls import Certificates

_DEAD_PEER_MS = 20_000
_TAKEN_WITHIN_S = 3.0


class Listener:
    """See the module. To be made within the event loop that it is to run on.

    Args:
        plane: answers predictions.
        recipe: its ``grpc_port`` or ``grpc_uds``, and limits.
        certificates: for TLS; None speaks without.
        is_shared: the port is held for several processes, this one among them.
        access: who may do what; None lets everybody do everything.

    Attributes:
        address: host and port, or ``unix:`` and a path, as a client wants them.

    Raises:
        ResourceError: the port cannot be had.
    """

    def __init__(
        self,
        plane: DataPlane,
        recipe: ServeRecipe,
        certificates: Certificates | None = None,
        *,
        is_shared: bool = False,
        access: Access | None = None,
    ) -> None:
        self._calls = Calls(plane, timeout_s=recipe.request_timeout_ms / 1000, most=recipe.max_connections)
        # As many again may watch: gRPC's own count has those, too, and not every release counts well.
        self._server = aio.server(
            options=_options(recipe, is_shared=is_shared), maximum_concurrent_rpcs=2 * recipe.max_connections
        )
        for name, handlers in handlers_of(plane, recipe, self._calls, access=access).items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        self._is_started = False
        self._path = recipe.grpc_uds
        self.address = self._bind(_address(recipe, is_shared=is_shared), certificates)

    @property
    def in_flight(self) -> int:
        """Calls taken up whose answer is not yet sent."""
        return self._calls.in_flight

    async def start(self) -> None:
        """Begin to answer."""
        self._is_started = True
        await self._server.start()

    async def stop(self) -> None:
        """Close the port and every connection.

        Clients have three seconds to take what was sent to them; what is still in flight is cancelled at once.
        """
        if not self._is_started:  # gRPC gives back no port of a server that never ran
            await self.start()
        self._calls.is_over = True
        await self._server.stop(None if self.in_flight else _TAKEN_WITHIN_S)
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _bind(self, address: str, certificates: Certificates | None) -> str:
        try:
            if certificates is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, certificates.for_grpc())
        except RuntimeError as error:
            raise ResourceError(f"cannot listen on {address}: {error}", expected="a free place") from error
        return address


def _address(recipe: ServeRecipe, *, is_shared: bool) -> str:
    """Where to listen, proved free: we say who has a port, which gRPC does not."""
    if recipe.grpc_uds is not None:
        listen_unix(recipe.grpc_uds).close()
        recipe.grpc_uds.unlink()
        return f"unix:{recipe.grpc_uds}"
    if is_shared:
        return spelled(recipe.host, recipe.grpc_port or 0)
    with listen(recipe.host, recipe.grpc_port or 0) as probe:
        return spelled(*probe.getsockname()[:2])


def services_of(plane: DataPlane, recipe: ServeRecipe, calls: Calls) -> list[Service]:
    """All services but reflection, health last."""
    inner: list[Service] = [
        PredictionService(plane, recipe),
        ModelService(plane, can_reload=recipe.workers == 1),
        OpenInference(plane),
    ]
    return [*inner, Health(plane, [one.name for one in inner], calls)]


def needs_of(services: Sequence[Service]) -> dict[str, Need]:
    """Service and method → what it needs of its caller, where access is controlled."""
    told = {one.name: one.needs for one in services} | dict.fromkeys(NAMES, NEEDS)
    return {f"{name}/{method}": need for name, needs in told.items() for method, need in needs.items()}


def handlers_of(
    plane: DataPlane, recipe: ServeRecipe, calls: Calls, *, access: Access | None = None
) -> Mapping[str, Mapping[str, Any]]:
    """Service → method → gRPC's handler, with the permit's check around each where access is controlled."""
    services = services_of(plane, recipe, calls)
    handlers = {one.name: _unary(one, calls) for one in services}
    for one in services:
        if isinstance(one, Health):
            handlers[one.name]["Watch"] = one.watching()
    if recipe.grpc_reflection:
        names = (*handlers, *NAMES)
        for name in NAMES:
            handlers[name] = {"ServerReflectionInfo": Reflection(name, names).handler()}
    if access is None:
        return handlers
    guard, needs = Guard(access, plane.watching), needs_of(services)
    return {name: _guarded(name, methods, guard=guard, needs=needs) for name, methods in handlers.items()}


def _guarded(name: str, methods: Mapping[str, Any], *, guard: Guard, needs: Mapping[str, Need]) -> dict[str, Any]:
    ways = {method: f"{name}/{method}" for method in methods}
    return {method: guard.around(methods[method], way, needs.get(way)) for method, way in ways.items()}


def _unary(service: Service, calls: Calls) -> dict[str, Any]:
    methods = described(service.name).methods_by_name
    return {name: calls.handler(service, methods[name]) for name in service.answers()}


def _options(recipe: ServeRecipe, *, is_shared: bool) -> Sequence[tuple[str, int]]:
    return (
        ("grpc.so_reuseport", int(is_shared)),  # or a second server could take the same port unnoticed
        ("grpc.max_receive_message_length", recipe.max_body_bytes),
        ("grpc.max_concurrent_streams", recipe.max_connections),
        ("grpc.server_handshake_timeout_ms", round(recipe.header_timeout_s * 1000)),
        ("grpc.max_connection_idle_ms", round(recipe.grpc_idle_s * 1000)),
        ("grpc.keepalive_time_ms", recipe.keep_alive_s * 1000),
        ("grpc.keepalive_timeout_ms", _DEAD_PEER_MS),
        ("grpc.keepalive_permit_without_calls", 1),
    )
