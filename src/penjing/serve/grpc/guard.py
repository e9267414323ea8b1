"""The permit of a gRPC call, before anything of it is read. Every handler of the server goes through here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, final

import grpc

from penjing.core.errors import ForbiddenError, PenjingError
from penjing.security.access import CREDENTIALS, Access
from penjing.security.needs import Need
from penjing.security.permits import NOTHING, give
from penjing.serve.api.faults import text_of
from penjing.serve.finished import Finished
from penjing.serve.grpc.errors import pushback, shortened, status_of
from penjing.serve.watching import Watching

_DENIED = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.PERMISSION_DENIED.value[0])


@final
class Guard:
    """Lets calls in.

    Args:
        access: decides.
        watching: writes down what was refused; None does not.
    """

    def __init__(self, access: Access, watching: Watching | None = None) -> None:
        self._access, self._watching = access, watching

    def around(self, handler: Any, name: str, need: Need | None) -> Any:
        """A handler that runs only with a permit.

        Args:
            handler: gRPC's.
            name: of service and method.
            need: what it declares; None lets nobody in.
        """
        kind = f"{_form(handler.request_streaming)}_{_form(handler.response_streaming)}"
        behaviour = getattr(handler, kind)

        async def once(request: Any, context: Any) -> Any:
            await self._admit(context, name, need)
            try:
                return await behaviour(request, context)
            finally:
                self._note_refusal(context, name)

        async def several(request: Any, context: Any) -> AsyncIterator[Any]:
            await self._admit(context, name, need)
            async with aclosing(behaviour(request, context)) as answers:
                async for answer in answers:
                    yield answer

        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(
            several if handler.response_streaming else once, handler.request_deserializer, handler.response_serializer
        )

    def _note_refusal(self, context: Any, name: str) -> None:
        """Write down that a call was refused for a right to what its message named."""
        if context.code() in _DENIED:
            error = ForbiddenError("no right to what the message names")
            self._access.refused(error, what=name, peer=context.peer())

    async def _admit(self, context: Any, name: str, need: Need | None) -> None:
        began = time.monotonic()
        give(NOTHING)
        try:
            metadata = context.invocation_metadata() or ()
            sent = [(key, value if isinstance(value, str) else "") for key, value in metadata if key in CREDENTIALS]
            permit = self._access.admit(sent, need)
            if permit.verb is None:
                permit.require(name)  # nothing is declared: nobody may
            self._access.allowed(permit, what=name, peer=context.peer())
            give(permit)
        except PenjingError as error:
            status = status_of(error)
            self._access.refused(error, what=name, peer=context.peer())
            if self._watching:
                self._watching.finished(Finished("grpc", name, status, is_fault=False, began=began, cost={}))
            await context.abort(grpc.StatusCode[status], shortened(text_of(error)), pushback(error))


def _form(is_stream: bool) -> str:
    return "stream" if is_stream else "unary"
