"""OpenAI's API under its strict prefix: the models, and embeddings, which have their bare path too.

A call that comes with another task is one path more in ``answer``.

Source: openai/openai-openapi, ``/models``, ``/models/{model}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import unquote

from penjing.core.errors import ModelNotFoundError
from penjing.serve.api.counting import counted
from penjing.serve.api.documents import LONG_BODY_BYTES, parse_object
from penjing.serve.api.http import Reply, Request, json_reply
from penjing.serve.api.listing import openai_model
from penjing.serve.api.openai import errors
from penjing.serve.api.openai.embeddings import create, named_model
from penjing.serve.api.openai.openapi import DESCRIPTION
from penjing.serve.plane import DataPlane
from penjing.serve.versions import Version
from penjing.store.references import Reference

_LIST = "/v1/models"
_EMBEDDINGS = "/v1/embeddings"


class OpenAI:
    """See the module.

    Args:
        plane: whose models.
    """

    description = DESCRIPTION

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def claims(self, path: str) -> bool:
        """Embeddings alone: the bare paths of models are TensorFlow Serving's, and carry OpenAI's keys."""
        return path == _EMBEDDINGS

    async def answer(self, request: Request) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        path = request.target.partition("?")[0]
        if path == _EMBEDDINGS:
            return await self._embed(request)
        if path != _LIST and not path.startswith(f"{_LIST}/"):
            return errors.refusal(404, f"Invalid URL ({request.method} {request.path})")
        if request.method not in ("GET", "HEAD"):
            return errors.refusal(
                405, f"Not allowed to {request.method} on {request.path}: expected GET", code="method_not_supported"
            )
        models = self._plane.models
        if path == _LIST:
            return json_reply(200, {"object": "list", "data": [openai_model(models, name) for name in models.names()]})
        name = unquote(path.removeprefix(f"{_LIST}/"))
        if name not in models.names():
            raise ModelNotFoundError(f"The model '{name}' does not exist")
        return json_reply(200, openai_model(models, name))

    async def _embed(self, request: Request) -> Reply:
        if request.method != "POST":
            return errors.refusal(
                405, f"Not allowed to {request.method} on {request.path}: expected POST", code="method_not_supported"
            )
        body = await request.body()
        read = partial(parse_object, body)
        is_long = len(body) > LONG_BODY_BYTES
        document = await self._plane.aside(read, deadline=request.deadline) if is_long else read()
        which = named_model(document)
        with counted(self._plane, which.model, request, api="Embeddings"), self._held(which, document) as version:
            return await create(self._plane, version, document, request=request)

    @contextmanager
    def _held(self, which: Reference, document: Mapping[str, Any]) -> Iterator[Version]:
        """The version of a call, with OpenAI's words where there is none."""
        try:
            version = self._plane.models.enter(*which)
        except ModelNotFoundError as error:
            raise ModelNotFoundError(f"The model '{document['model']}' does not exist") from error
        try:
            yield version
        finally:
            version.leave()

    def fault(self, error: Exception) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return errors.fault(error)
