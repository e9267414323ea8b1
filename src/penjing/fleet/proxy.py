"""The gateway's ASGI application: takes a request, finds it a replica, sees the reply through.

Bodies go through as they came, both ways; server-sent events as they come. Promises: exactly one reply a request; a
client that leaves ends what is done for it; a request is sent again only if no answer to it can have been acted on: it
never reached a replica, or a replica refused it, or broke off before anything was passed on and the call is
one that may be made twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import MutableMapping
from typing import Any

from penjing.core.errors import DeadlineError, DepartedError, NotReadyError, PenjingError, ServingError
from penjing.fleet.budget import RetryBudget
from penjing.fleet.calls import Body, Call, call_of, work_of
from penjing.fleet.headers import to_client, to_replica
from penjing.fleet.metrics import Metrics
from penjing.fleet.policies import Work
from penjing.fleet.recipe import GatewayRecipe
from penjing.fleet.replica import Answer, BrokenLinkError, Outgoing, Replica
from penjing.fleet.seats import Seats
from penjing.fleet.vital import Vital
from penjing.serve.api.http import TIMEOUT_HEADER, Headers, Receive, Request, Send, send_reply

_LOG = logging.getLogger(__name__)
_MOST_TRIES = 5


class Proxy:
    """See the module.

    Args:
        seats: places requests.
        recipe: limits.
        metrics: counted into.
        vital: answers for the gateway itself.
        replicas: those there are.

    Attributes:
        in_flight: requests taken up and not yet answered.
        is_draining: set when the gateway stops.
    """

    def __init__(
        self, seats: Seats, recipe: GatewayRecipe, metrics: Metrics, *, vital: Vital, replicas: list[Replica]
    ) -> None:
        self._seats, self._recipe, self._metrics, self._vital = seats, recipe, metrics, vital
        self._replicas = replicas
        self._budget = RetryBudget(share=recipe.repeat.share, free_per_s=recipe.repeat.free_per_s)
        self._reads_models = any(replica.models is not None for replica in replicas)
        self._reads_prompts = recipe.policy == "prefix-aware"
        self._key_header = recipe.key_header.lower().encode()
        self.in_flight = 0
        self.is_draining = False

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the gateway speaks HTTP only, not {scope['type']}")
        self.in_flight += 1
        recipe = self._recipe
        request = Request(
            scope, receive, max_body_bytes=recipe.max_body_bytes, timeout_s=recipe.request_timeout_ms / 1000
        )
        try:
            if reply := self._vital.answer(request.method, request.path):
                await send_reply(reply, send, extra=self._closing(request))
            else:
                await self._pass(request, scope, send)
        finally:
            self.in_flight -= 1

    async def _pass(self, request: Request, scope: MutableMapping[str, Any], send: Send) -> None:
        call, status = call_of(request.method, request.target.partition("?")[0]), 499
        out = _Out(send)
        try:
            body = Body(await request.body_as_sent())
            with request.while_connected():
                answer, work = await self._answer(request, call, body, scope=scope)
                status = answer.status
                await self._pass_back(answer, work, out, extra=self._closing(request))
        except Exception as error:  # each error becomes a reply of the dialect
            if out.has_begun:
                if not isinstance(error, DepartedError):
                    raise  # uvicorn closes the connection: a reply cut short must not look whole
                return
            if not isinstance(error, PenjingError):
                _LOG.exception("%s %s failed", request.method, request.path)
            reply = call.fault(error)
            status, late = reply.status, isinstance(error, NotReadyError)
            retry: Headers = [(b"retry-after", b"%d" % self._seats.retry_after_s())] if late else []
            await send_reply(reply, send, extra=[*retry, *self._closing(request)])
        finally:
            self._metrics.replied(status, seconds=time.monotonic() - request.began)

    async def _answer(
        self, request: Request, call: Call, body: Body, *, scope: MutableMapping[str, Any]
    ) -> tuple[Answer, Work]:
        model = call.model or (body.model if call.names_model and self._reads_models else "")
        key = request.header(self._key_header).encode("latin-1")
        work = work_of(call, body, key=key, with_prefix=self._reads_prompts)
        outgoing = _outgoing(request, body, scope)
        self._budget.arrived()
        tried: list[Replica] = []
        while True:
            began = time.monotonic()
            replica = await self._seats.take(work, model, until=request.deadline, avoid=tried)
            self._metrics.wait_ms.observe((time.monotonic() - began) * 1e3)
            tried.append(replica)
            answer = await self._try(replica, outgoing, work, request=request, may_repeat=call.is_harmless)
            if answer is None and len(tried) < _MOST_TRIES:
                self._metrics.repeated("broken")
            elif answer is None:
                raise NotReadyError(f"{len(tried)} replicas in turn broke off", do="Come back later.")
            elif self._passes_on(answer, tried, model):
                return answer, work
            else:
                self._metrics.repeated("refused")
                self._over(answer, work)

    async def _try(
        self, replica: Replica, outgoing: Outgoing, work: Work, *, request: Request, may_repeat: bool
    ) -> Answer | None:
        """One attempt; None where another may be made."""
        try:
            return await replica.ask(outgoing, until=request.deadline)
        except BrokenLinkError as error:
            self._ended(replica, work)
            if error.is_before:
                replica.fitness.unreachable()
            self._failed(replica)
            if error.is_before or may_repeat:
                return None
            raise ServingError(f"the replica broke off: {error}", do="Whether it did anything is not known.") from error
        except TimeoutError as error:
            self._ended(replica, work)
            if request.deadline - request.began >= self._recipe.request_timeout_ms / 1000:
                self._failed(replica)  # a client's own short deadline says nothing of the replica
            raise DeadlineError("no replica answered in time") from error
        except BaseException:
            self._ended(replica, work)
            raise

    def _passes_on(self, answer: Answer, tried: list[Replica], model: str) -> bool:
        """Whether an answer is the one for the client; a refusal is not, while somebody else may do it."""
        if answer.is_fault:
            self._failed(answer.replica)
        else:
            answer.replica.fitness.answered()
        if not answer.refuses or len(tried) >= _MOST_TRIES:
            return True
        others = [one for one in self._replicas if one not in tried and one.fitness.is_ready and one.has(model)]
        return not others or not self._budget.may_repeat(now=time.monotonic())

    async def _pass_back(self, answer: Answer, work: Work, out: _Out, *, extra: Headers) -> None:
        headers = [*to_client(answer.headers), (b"x-penjing-replica", answer.replica.name.encode()), *extra]
        try:
            if answer.is_whole:
                body = answer.body()
                self._over(answer, work)  # before the client has it, who may be slow
                await out.start(answer.status, headers)
                await out.more(body, is_last=True)
                return
            await out.start(answer.status, headers)
            async for chunk in answer.chunks():
                await out.more(chunk)
            await out.more(b"", is_last=True)
        except BrokenLinkError as error:
            self._failed(answer.replica)
            raise ServingError(f"the replica broke off in the middle of its reply: {error}") from error
        finally:
            self._over(answer, work)

    def _over(self, answer: Answer, work: Work) -> None:
        if answer.end(work):
            self._seats.left()

    def _ended(self, replica: Replica, work: Work) -> None:
        replica.load.lost(work)
        self._seats.left()

    def _failed(self, replica: Replica) -> None:
        """It failed a request; put it aside if it has too often, and enough others are left."""
        now = time.monotonic()
        if not replica.fitness.failed():
            return
        aside = sum(one.fitness.is_ejected(now=now) for one in self._replicas)
        if aside < max(1, int(self._recipe.fitness.eject_most * len(self._replicas))) and len(self._replicas) > 1:
            replica.fitness.eject(now=now)
            _LOG.warning(
                "replica %s failed %s times in a row: put aside", replica.name, self._recipe.fitness.eject_after
            )

    def _closing(self, request: Request) -> Headers:
        return [(b"connection", b"close")] if self.is_draining or request.must_close else []


class _Out:
    """Towards the client, through ASGI; knows whether anything was sent."""

    __slots__ = ("_send", "has_begun")

    def __init__(self, send: Send) -> None:
        self._send, self.has_begun = send, False

    async def start(self, status: int, headers: Headers) -> None:
        self.has_begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def more(self, chunk: bytes, *, is_last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": not is_last})


def _outgoing(request: Request, body: Body, scope: MutableMapping[str, Any]) -> Outgoing:
    client = scope.get("client")
    headers = to_replica(scope["headers"], client=client[0] if client else "")
    if request.header(TIMEOUT_HEADER):  # what is left of it
        left = max(0.0, request.deadline - time.monotonic()) * 1e3
        headers = [header for header in headers if header[0] != TIMEOUT_HEADER]
        headers.append((TIMEOUT_HEADER, b"%.0f" % left))
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return Outgoing(request.method, request.target, headers=headers, host=host, body=body.content)
