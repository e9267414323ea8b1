"""OpenAI's API under its strict prefix: the models, and the calls that have their bare path too.

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
from penjing.serve.api.http import Reply, Request, Stream, json_reply
from penjing.serve.api.listing import openai_model
from penjing.serve.api.openai import errors
from penjing.serve.api.openai.chat import Chat
from penjing.serve.api.openai.completions import Completions
from penjing.serve.api.openai.embeddings import create, named_model
from penjing.serve.api.openai.openapi import DESCRIPTION
from penjing.serve.api.openai.writing import write
from penjing.serve.plane import DataPlane
from penjing.serve.versions import Version
from penjing.store.references import Reference

_LIST = "/v1/models"
_EMBEDDINGS = "/v1/embeddings"
_WRITING: dict[str, type[Completions] | type[Chat]] = {"/v1/completions": Completions, "/v1/chat/completions": Chat}


class OpenAI:
    """See the module.

    Args:
        plane: whose models.
    """

    description = DESCRIPTION

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def claims(self, path: str) -> bool:
        """Calls alone: the bare paths of models are TensorFlow Serving's, and carry OpenAI's keys."""
        return path == _EMBEDDINGS or path in _WRITING

    async def answer(self, request: Request) -> Reply | Stream:
        """See :class:`penjing.serve.api.site.Dialect`."""
        path = request.target.partition("?")[0]
        if path == _EMBEDDINGS:
            return await self._embed(request)
        if path in _WRITING:
            return await self._write(request, _WRITING[path])
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
            return _wants_post(request)
        document = await self._document(request)
        which = named_model(document)
        with counted(self._plane, which.model, request, api="Embeddings"), self._held(which, document) as version:
            return await create(self._plane, version, document, request=request)

    async def _document(self, request: Request) -> dict[str, Any]:
        body = await request.body()
        read = partial(parse_object, body)
        return await self._plane.aside(read, deadline=request.deadline) if len(body) > LONG_BODY_BYTES else read()

    async def _write(self, request: Request, kind: type[Completions] | type[Chat]) -> Reply | Stream:
        if request.method != "POST":
            return _wants_post(request)
        document = await self._document(request)
        which = named_model(document)
        with self._held(which, document) as version:
            return await write(self._plane, version, kind, document=document, request=request)

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


def _wants_post(request: Request) -> Reply:
    return errors.refusal(
        405, f"Not allowed to {request.method} on {request.path}: expected POST", code="method_not_supported"
    )
