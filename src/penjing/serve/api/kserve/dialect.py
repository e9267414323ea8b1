"""KServe's prediction protocol V1, under its strict prefix.

Its predict call is TensorFlow Serving's by design, ``instances`` in and ``predictions`` out, so the body is
read and answered by that dialect; what differs is how models are listed, how readiness is told, that there
are no versions in paths, and the errors.

Source: kserve/kserve, ``python/kserve/kserve/protocol/rest/v1_endpoints.py``, ``errors.py``.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from penjing.core.errors import ModelNotFoundError, NotReadyError, UnsupportedError
from penjing.serve.api.http import Reply, Request, json_reply
from penjing.serve.api.kserve import errors
from penjing.serve.api.kserve.openapi import DESCRIPTION
from penjing.serve.api.listing import is_ready
from penjing.serve.api.tensorflow_serving import TensorFlowServing
from penjing.serve.plane import DataPlane

_ALIVE = ("", "/")
_LIST = "/v1/models"
_MODEL = re.compile(rf"{_LIST}/([^/:]+)(?::(predict|explain))?")


class KServe:
    """See the module.

    Args:
        plane: whose models.
        tensorflow: answers predictions.
    """

    description = DESCRIPTION

    def __init__(self, plane: DataPlane, tensorflow: TensorFlowServing) -> None:
        self._plane = plane
        self._tensorflow = tensorflow

    def claims(self, path: str) -> bool:
        """Nothing: the bare paths are TensorFlow Serving's."""
        del path
        return False

    async def answer(self, request: Request) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        path = request.target.partition("?")[0]
        found = _MODEL.fullmatch(path)
        if found is None and path != _LIST and path not in _ALIVE:
            return errors.refusal(404, "Not Found")
        model, verb = (unquote(found[1]), found[2]) if found else ("", None)
        if request.method not in (("POST",) if verb else ("GET", "HEAD")):
            return errors.refusal(405, "Method Not Allowed")
        if not model:
            return json_reply(200, {"models": self._plane.models.names()} if path == _LIST else {"status": "alive"})
        self._check(model)
        if verb is None:
            return json_reply(200, {"name": model, "ready": True})
        if verb == "explain":
            raise UnsupportedError(f"Model {model} does not explain its predictions")
        return await self._tensorflow.answer(request)

    def fault(self, error: Exception) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return errors.fault(error)

    def _check(self, model: str) -> None:
        models = self._plane.models
        if model not in models.names():
            raise ModelNotFoundError(f"Model with name {model} does not exist.")
        if not is_ready(models, model):
            raise NotReadyError(f"Model with name {model} is not ready.")
