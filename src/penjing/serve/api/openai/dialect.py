"""OpenAI's API under its strict prefix: the models, for now.

A call that comes with another task is one path more in ``answer``.

Source: openai/openai-openapi, ``/models``, ``/models/{model}``.
"""

from __future__ import annotations

from urllib.parse import unquote

from penjing.core.errors import ModelNotFoundError
from penjing.serve.api.http import Reply, Request, json_reply
from penjing.serve.api.listing import openai_model
from penjing.serve.api.openai import errors
from penjing.serve.api.openai.openapi import DESCRIPTION
from penjing.serve.plane import DataPlane

_LIST = "/v1/models"


class OpenAI:
    """See the module.

    Args:
        plane: whose models.
    """

    description = DESCRIPTION

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def claims(self, path: str) -> bool:
        """Nothing: the bare paths are TensorFlow Serving's."""
        del path
        return False

    async def answer(self, request: Request) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        path = request.target.partition("?")[0]
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

    def fault(self, error: Exception) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return errors.fault(error)
