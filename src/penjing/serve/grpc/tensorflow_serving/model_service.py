"""``tensorflow.serving.ModelService``: states of versions, and reloads.

Source: tensorflow/serving, ``model_servers/{get_model_status_impl,model_service_impl}.cc``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from penjing.core.errors import InvalidRequestError, UnsupportedError
from penjing.security.needs import LOOK, OPERATE_ALL, Need
from penjing.serve.api.tensorflow_serving.errors import message_of
from penjing.serve.api.tensorflow_serving.status import version_statuses
from penjing.serve.grpc.calls import Answer, Call
from penjing.serve.grpc.messages import filled
from penjing.serve.grpc.tensorflow_serving.model_spec import call_of
from penjing.serve.grpc.tensorflow_serving.reload import carry_out, read_config
from penjing.serve.plane import DataPlane

_PACKAGE = "tensorflow.serving"


class ModelService:
    """See the module.

    Args:
        plane: whose models.
        can_reload: False where other workers serve the same models, who would not hear of a reload.
    """

    name = f"{_PACKAGE}.ModelService"
    needs: Mapping[str, Need] = MappingProxyType({"GetModelStatus": LOOK, "HandleReloadConfigRequest": OPERATE_ALL})

    def __init__(self, plane: DataPlane, *, can_reload: bool = True) -> None:
        self._plane = plane
        self._can_reload = can_reload
        self._reloading = asyncio.Lock()

    def answers(self) -> Mapping[str, Answer]:
        """See :class:`penjing.serve.grpc.calls.Service`."""
        return {"GetModelStatus": self._status, "HandleReloadConfigRequest": self._reload}

    def text_of(self, error: Exception) -> str:
        """See :class:`penjing.serve.grpc.calls.Service`."""
        return message_of(error)

    async def _status(self, request: Any, _call: Call) -> Any:
        if not request.HasField("model_spec"):
            raise InvalidRequestError("Missing ModelSpec")
        statuses = version_statuses(self._plane.models, call_of(request.model_spec))
        return filled(f"{_PACKAGE}.GetModelStatusResponse", statuses)

    async def _reload(self, request: Any, call: Call) -> Any:
        if not self._can_reload:
            raise UnsupportedError(
                "a reload reaches one of several workers only", do="Change the store, or serve with one worker."
            )
        models = self._plane.models
        async with self._reloading:  # each is told of its own outcome
            wishes = await self._plane.aside(lambda: read_config(request, models), deadline=call.deadline)
            await carry_out(wishes, models, deadline=call.deadline)
        return filled(f"{_PACKAGE}.ReloadConfigResponse", {"status": {"error_code": "OK"}})
