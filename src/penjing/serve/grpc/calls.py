"""One call over gRPC, from its bytes to its reply.

Promises: exactly one reply, whatever a service does; a message that does not come in time ends its own call
and no other; when the client leaves or its deadline passes, what its call held is free.

A call of one message each way is served as if the client might send several: only so can the wait for a slow
client's message be bounded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NoReturn, Protocol, TypeVar

import grpc

from penjing.core.errors import DeadlineError, MalformedError, OverloadedError, PenjingError
from penjing.security.needs import Need
from penjing.serve.answers import Answers, Cost, Inputs
from penjing.serve.api.documents import LONG_BODY_BYTES
from penjing.serve.finished import Finished
from penjing.serve.grpc.errors import pushback, shortened, status_of
from penjing.serve.grpc.messages import class_of, read
from penjing.serve.plane import DataPlane
from penjing.serve.versions import Version
from penjing.serve.watching import TRACEPARENT, cost_by_name

_LOG = logging.getLogger(__name__)
_ROOM_AFTER_S = 0.1

T = TypeVar("T")


class Call:
    """A call in hand.

    Args:
        plane: answers predictions.
        left_s: until the caller's deadline; None where it set none.
        timeout_s: the longest the call may take.

    Attributes:
        began, deadline: on the clock of ``time.monotonic``.
        is_callers: the deadline is the caller's own.
        is_long: its message is so long that to read it would hold others up.
        model, api: what it is counted under; not counted while ``api`` is empty.
        cost: what the answer took; None before there is one.
        name: the service's and the method's.
        traceparent: the caller's, and once it is counted the call's own; empty without traces.
    """

    def __init__(self, plane: DataPlane, *, left_s: float | None, timeout_s: float) -> None:
        self.began = time.monotonic()
        self.is_callers = left_s is not None and left_s <= timeout_s
        self.deadline = self.began + (timeout_s if left_s is None else min(left_s, timeout_s))
        self.is_long = False
        self.model = self.api = ""
        self.cost: Cost | None = None
        self.name = self.traceparent = ""
        self._plane = plane

    def shorten(self, seconds: float) -> None:
        """Set an earlier deadline that the message asks for."""
        if self.began + seconds < self.deadline:
            self.deadline, self.is_callers = self.began + seconds, True

    async def off_loop(self, function: Callable[[], T]) -> T:
        """Compute something that takes as long as the message is; if that is long, off the event loop."""
        return await self._plane.aside(function, deadline=self.deadline) if self.is_long else function()

    async def ask(self, version: Version, inputs: Inputs) -> Answers:
        """See :meth:`DataPlane.ask`; the reply will say what it cost."""
        answers = await self._plane.ask(version, inputs, deadline=self.deadline)
        self.cost = answers.cost
        return answers

    def count(self, status: str) -> None:
        """Count the reply under the model's name, if there is such a model, and write it down."""
        if self._plane.watching:
            is_fault = status in ("INTERNAL", "UNKNOWN", "UNAVAILABLE")
            cost = cost_by_name(self.cost)
            self.traceparent = self._plane.watching.finished(
                Finished("grpc", self.name, status, is_fault, self.began, cost, self.traceparent)
            )
        if self.api and self._plane.models.knows(self.model):
            seconds = time.monotonic() - self.began
            self._plane.metrics.of(self.model).replied(status, api=self.api, seconds=seconds, entrypoint="GRPC")


Answer = Callable[[Any, Call], Awaitable[Any]]


class Service(Protocol):
    """The calls of a service that have one message each way."""

    @property
    def name(self) -> str:
        """With its package."""

    @property
    def needs(self) -> Mapping[str, Need]:
        """What each method needs of its caller, where access is controlled."""

    def answers(self) -> Mapping[str, Answer]:
        """What answers each method: from request and call to the response."""

    def text_of(self, error: Exception) -> str:
        """An error in the protocol's own words."""


class Calls:
    """All calls of a server.

    Args:
        plane: answers predictions.
        timeout_s: the longest that a call may take.
        most: calls that are read and answered at one time.

    Attributes:
        in_flight: calls taken up whose answer is not yet sent.
        is_over: streams that have no end of their own are to end.
    """

    def __init__(self, plane: DataPlane, *, timeout_s: float, most: int) -> None:
        self.in_flight = self._answering = 0
        self.is_over = False
        self._plane = plane
        self._timeout_s = timeout_s
        self._most = most

    def handler(self, service: Service, method: Any) -> Any:
        """GRPC's handler of a method of a service, by the method's descriptor."""
        kind, answer = class_of(method.input_type), service.answers()[method.name]

        async def behaviour(_requests: Any, context: Any) -> bytes:
            call = Call(self._plane, left_s=context.time_remaining(), timeout_s=self._timeout_s)
            call.name = f"{service.name}/{method.name}"
            call.traceparent = _traceparent(context) if self._plane.watching else ""
            self.in_flight += 1
            self._answering += 1
            context.add_done_callback(self._sent)
            try:
                self._check_room()
                return await _reply(call, context, kind=kind, answer=answer)
            except asyncio.CancelledError:  # by gRPC: nobody waits any more
                call.count("DEADLINE_EXCEEDED" if time.monotonic() >= call.deadline else "CANCELLED")
                raise
            except Exception as error:  # noqa: BLE001  each error becomes a reply
                if not isinstance(error, PenjingError):
                    _LOG.exception("%s/%s failed", service.name, method.name)
                return await self._refuse(call, context, error, text=service.text_of(error))
            finally:
                self._answering -= 1

        return grpc.stream_unary_rpc_method_handler(behaviour)

    def _sent(self, _context: Any) -> None:
        self.in_flight -= 1

    def _check_room(self) -> None:
        """Before a message is read: each may be large. Whoever is slow to take an answer holds no place."""
        if self._answering > self._most:
            raise OverloadedError(
                f"{self._most} calls are under way", expected="no more at one time", retry_after_s=_ROOM_AFTER_S
            )

    async def _refuse(self, call: Call, context: Any, error: Exception, *, text: str) -> NoReturn:
        is_stopping = self._plane.is_draining
        status = status_of(error, is_stopping=is_stopping, is_callers=call.is_callers)
        call.count(status)
        await context.abort(grpc.StatusCode[status], shortened(text), pushback(error, is_stopping=is_stopping))
        raise RuntimeError("the call went on after it was refused")


async def _reply(call: Call, context: Any, *, kind: Any, answer: Answer) -> bytes:
    raw = await _receive(call, context)
    call.is_long = len(raw) > LONG_BODY_BYTES
    request = await call.off_loop(partial(read, kind, raw))
    response: bytes = (await answer(request, call)).SerializeToString()
    call.count("OK")
    trailing = [(name.decode(), text.decode()) for name, text in call.cost.headers()] if call.cost else []
    if call.traceparent:
        trailing.append((TRACEPARENT.decode(), call.traceparent))
    context.set_trailing_metadata(tuple(trailing))
    return response


def _traceparent(context: Any) -> str:
    metadata = context.invocation_metadata() or ()
    return next((str(value) for name, value in metadata if name == TRACEPARENT.decode()), "")


async def _receive(call: Call, context: Any) -> bytes:
    try:
        async with asyncio.timeout(max(0.0, call.deadline - time.monotonic())):
            raw = await context.read()
    except TimeoutError as error:
        raise DeadlineError("the message did not arrive in time") from error
    if not isinstance(raw, bytes):
        raise MalformedError("no message came", expected="one of at most max_body_bytes")
    return raw
