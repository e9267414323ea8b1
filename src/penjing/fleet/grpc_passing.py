"""gRPC through the gateway: every service and method as bytes, none of them understood.

A call with one message each way is on the wire a stream of one, so one handler does for all four kinds. Promises: as
over HTTP: exactly one status a call; a call is sent again only if nothing was passed on and it may be made twice. Of
calls that Penjing does not know nobody can say that, nor how many messages come; they are passed on as they come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import grpc
from grpc import aio

from penjing.core.errors import PenjingError
from penjing.fleet.budget import RetryBudget
from penjing.fleet.metrics import Metrics
from penjing.fleet.policies import Work
from penjing.fleet.recipe import GatewayRecipe
from penjing.fleet.replica import Replica
from penjing.fleet.seats import Seats
from penjing.serve.api.faults import text_of
from penjing.serve.grpc.errors import pushback, shortened, status_of

_TAKEN_WITHIN_S = 3.0
_MOST_TRIES = 5
_ALL_WITHIN_S = 0.02  # a client that sends one message says at once that it was the last
_BYTES_PER_TOKEN, _TOKENS_PER_CALL = 4, 8
_OIP, _TF = "inference.GRPCInferenceService", "tensorflow.serving"
_HARMLESS = {
    *(
        f"/{_OIP}/{method}"
        for method in (
            "ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelConfig",
            "ModelStatistics", "ModelInfer", "RepositoryIndex",
        )
    ),
    *(
        f"/{_TF}.PredictionService/{method}"
        for method in ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata")
    ),
    f"/{_TF}.ModelService/GetModelStatus",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
}  # fmt: skip
_OURS_TO_SAY = ("grpc-", ":", "user-agent", "te", "content-type")
_RECONNECT_MS, _RECONNECT_MOST_MS = 100, 1000


class Passing(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """See the module.

    Args:
        seats: places calls, among replicas that speak gRPC.
        channels: to each of those.
        recipe: limits.
        metrics: counted into.

    Attributes:
        in_flight: calls taken up and not yet answered.
    """

    def __init__(
        self, seats: Seats, channels: Mapping[Replica, aio.Channel], recipe: GatewayRecipe, *, metrics: Metrics
    ) -> None:
        self._seats, self._channels, self._recipe, self._metrics = seats, channels, recipe, metrics
        self._budget = RetryBudget(share=recipe.repeat.share, free_per_s=recipe.repeat.free_per_s)
        self._reads_models = any(replica.models is not None for replica in channels)
        self.in_flight = 0

    def service(self, details: Any) -> Any:
        """See :class:`grpc.GenericRpcHandler`."""
        metadata = tuple(pair for pair in details.invocation_metadata if not pair[0].startswith(_OURS_TO_SAY))
        return grpc.stream_stream_rpc_method_handler(partial(self._pass, details.method, metadata))

    async def _pass(self, method: str, metadata: Any, requests: AsyncIterator[bytes], context: Any) -> None:
        self.in_flight += 1
        began, status = time.monotonic(), "CANCELLED"
        try:
            first, rest = await _begun(requests)
            call = _Call(method, metadata, first, rest=rest, until=began + self._left_s(context))
            status = await self._answer(call, context)
        except PenjingError as error:
            status = status_of(error)
            await context.abort(grpc.StatusCode[status], shortened(text_of(error)), pushback(error))
        finally:
            self.in_flight -= 1
            self._metrics.replied(status, seconds=time.monotonic() - began)

    async def _answer(self, call: _Call, context: Any) -> str:
        self._budget.arrived()
        work, tried = call.work(), list[Replica]()
        model = _model_in(call) if self._reads_models else ""
        while True:
            replica = await self._seats.take(work, model, until=call.until, avoid=tried)
            tried.append(replica)
            try:
                error = await self._try(replica, call, context)
            except BaseException:
                self._over(replica, work, was_answered=False)
                raise
            self._over(replica, work, was_answered=error is None)
            if error is None:
                return "OK"
            if call.has_begun or not self._may_repeat(call, error, tried):
                break
            self._metrics.repeated("refused" if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED else "broken")
        await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata() or ()))
        return str(error.code().name)

    async def _try(self, replica: Replica, call: _Call, context: Any) -> aio.AioRpcError | None:
        """Ask one replica; what it says if it does not answer."""
        timeout = call.until - time.monotonic()
        channel, told = self._channels[replica], {"timeout": timeout, "metadata": call.metadata}
        if call.rest is None and call.first:
            # With a stream the library reports that it could not send, and not what was answered.
            upstream = channel.unary_stream(call.method)(call.first[0], **told)
        else:
            upstream = channel.stream_stream(call.method)(call.messages(), **told)
        replica.on_gone.add(upstream.cancel)
        try:
            async for message in upstream:
                if not call.has_begun:
                    call.has_begun = True
                    await context.send_initial_metadata(await upstream.initial_metadata())
                await context.write(message)
            context.set_trailing_metadata(tuple(await upstream.trailing_metadata() or ()))
            replica.fitness.answered()
            return None
        except aio.AioRpcError as error:
            return error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if (task is not None and task.cancelling()) or context.cancelled():
                upstream.cancel()
                raise
            return _gone()
        finally:
            replica.on_gone.discard(upstream.cancel)

    def _may_repeat(self, call: _Call, error: aio.AioRpcError, tried: list[Replica]) -> bool:
        if call.method not in _HARMLESS or call.rest is not None or len(tried) >= _MOST_TRIES:
            return False
        if error.code() is grpc.StatusCode.UNAVAILABLE:  # what another could answer at once
            return True
        others = [one for one in self._channels if one not in tried and one.fitness.is_ready]
        is_full = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        return is_full and bool(others) and self._budget.may_repeat(now=time.monotonic())

    def _over(self, replica: Replica, work: Work, *, was_answered: bool) -> None:
        if was_answered:
            replica.load.answered(work, now=time.monotonic())
        else:
            replica.load.lost(work)
        self._seats.left()

    def _left_s(self, context: Any) -> float:
        left = context.time_remaining()
        most = self._recipe.request_timeout_ms / 1000
        return most if left is None else float(min(left, most))


class _Call:
    """One call on its way."""

    def __init__(
        self, method: str, metadata: Any, first: list[bytes], *, rest: AsyncIterator[bytes] | None, until: float
    ) -> None:
        self.method, self.metadata, self.first, self.rest, self.until = method, metadata, first, rest, until
        self.has_begun = False

    def work(self) -> Work:
        size = sum(map(len, self.first))
        return Work(size / _BYTES_PER_TOKEN + _TOKENS_PER_CALL, b"".join(self.first))

    async def messages(self) -> AsyncIterator[bytes]:
        for message in self.first:
            yield message
        if self.rest is not None:
            async for message in self.rest:
                yield message


class GrpcListener:
    """The gateway's gRPC port. To be made within the event loop that it is to run on.

    Args:
        address: where to listen.
        seats: see :class:`Passing`.
        targets: the replicas that speak gRPC, and where.
        recipe: limits.
        metrics: counted into.
    """

    def __init__(
        self, address: str, seats: Seats, targets: Mapping[Replica, str], *, recipe: GatewayRecipe, metrics: Metrics
    ) -> None:
        self._channels = {one: aio.insecure_channel(target, options=_FAR) for one, target in targets.items()}
        self._passing = Passing(seats, self._channels, recipe, metrics=metrics)
        options = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", recipe.max_body_bytes))
        self._server = aio.server(options=options, maximum_concurrent_rpcs=recipe.max_connections)
        self._server.add_generic_rpc_handlers((self._passing,))
        self._server.add_insecure_port(address)

    @property
    def in_flight(self) -> int:
        """Calls taken up and not yet answered."""
        return self._passing.in_flight

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()

    async def stop(self) -> None:
        """Close the port and every connection."""
        await self._server.stop(None if self.in_flight else _TAKEN_WITHIN_S)
        for channel in self._channels.values():
            await channel.close()


_FAR = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS),
    ("grpc.min_reconnect_backoff_ms", _RECONNECT_MS),
    ("grpc.max_reconnect_backoff_ms", _RECONNECT_MOST_MS),
)


async def _begun(requests: AsyncIterator[bytes]) -> tuple[list[bytes], AsyncIterator[bytes] | None]:
    """The first message, if there is one, and what comes behind it; None where that was all."""
    first = await anext(requests, None)
    if first is None:
        return [], None
    second = asyncio.ensure_future(anext(requests, None))
    try:
        done, _ = await asyncio.wait([second], timeout=_ALL_WITHIN_S)
    except asyncio.CancelledError:
        second.cancel()
        raise
    return [first], None if done and second.result() is None else _behind(second, requests)


async def _behind(second: asyncio.Future[bytes | None], requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    message = await second
    while message is not None:
        yield message
        message = await anext(requests, None)


def _gone() -> aio.AioRpcError:
    return aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), "the replica is gone")


def _model_in(call: _Call) -> str:
    """The model that a known call names: its first field, or that of its first field."""
    if not call.first or call.method not in _HARMLESS:
        return ""
    named = _first_field(call.first[0])
    if call.method.startswith(f"/{_TF}"):
        named = _first_field(named)
    return named.decode("utf-8", "replace")


def _first_field(message: bytes) -> bytes:
    """Field 1 of a protobuf message, where it comes first and has a length; nothing elsewhere."""
    if message[:1] != b"\x0a":
        return b""
    length = at = shift = 0
    for at in range(1, min(len(message), 6)):
        length |= (message[at] & 0x7F) << shift
        shift += 7
        if message[at] < 0x80:
            break
    return message[at + 1 : at + 1 + length]
