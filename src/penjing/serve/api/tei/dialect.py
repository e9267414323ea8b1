"""The HTTP API of text-embeddings-inference.

What differs: Penjing may serve several models (:mod:`.models` says which one a request is for), needs no
``Content-Type``, and counts tokens instead of texts where TEI limits a batch. ``/decode``, ``/vertex`` and
the OpenAI route are not here.

Source: huggingface/text-embeddings-inference, ``router/src/http/server.rs``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from penjing.serve.api.counting import counted
from penjing.serve.api.documents import LONG_BODY_BYTES, parse_object
from penjing.serve.api.http import Reply, Request, json_reply
from penjing.serve.api.tei import errors
from penjing.serve.api.tei.call import Call
from penjing.serve.api.tei.calls import CALLS
from penjing.serve.api.tei.models import chosen, info
from penjing.serve.api.tei.openapi import DESCRIPTION
from penjing.serve.plane import DataPlane
from penjing.serve.recipe import ServeRecipe

_HEALTH = ("/health", "/ping")
_INFO = "/info"


class TextEmbeddingsInference:
    """See the module.

    Args:
        plane: answers predictions.
        recipe: whose limits ``/info`` tells.
    """

    description = DESCRIPTION

    def __init__(self, plane: DataPlane, recipe: ServeRecipe) -> None:
        self._plane = plane
        self._recipe = recipe

    def claims(self, path: str) -> bool:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return path in CALLS or path in _HEALTH or path == _INFO

    async def answer(self, request: Request) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        if not self.claims(request.path):
            return errors.refusal(404, f"{request.prefix}{request.path} is not found")
        verbs = ("POST",) if request.path in CALLS else ("GET", "HEAD")
        if request.method not in verbs:
            return errors.refusal(405, f"{request.method} {request.path}: expected {verbs[0]}")
        if request.path in _HEALTH:
            is_ready = not self._plane.is_draining and not self._plane.models.why_not_ready()
            return Reply(200, b"") if is_ready else errors.unhealthy()
        if request.path == _INFO:
            with self._plane.hold(*chosen(request, self._plane.models)) as version:
                return json_reply(200, info(version, self._recipe))
        return await self._call(request)

    def fault(self, error: Exception) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return errors.fault(error)

    async def _call(self, request: Request) -> Reply:
        which = chosen(request, self._plane.models)
        with counted(self._plane, which.model, request, api=request.path.removeprefix("/").capitalize()):
            document = await self._read(request)
            with self._plane.hold(*which) as version:
                return await CALLS[request.path](Call(self._plane, version, document, request))

    async def _read(self, request: Request) -> dict[str, Any]:
        body = await request.body()
        read = partial(parse_object, body)
        return read() if len(body) <= LONG_BODY_BYTES else await self._plane.aside(read, deadline=request.deadline)
