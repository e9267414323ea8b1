"""``inference.GRPCInferenceService``.

What it tells of server and models is what REST tells, in the protocol's messages. Outputs come as
``raw_output_contents``, as Triton sends them.

Source: triton-inference-server/server, ``src/grpc/{grpc_server,infer_handler}.cc``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from types import MappingProxyType
from typing import Any

from penjing.core.errors import ModelNotFoundError, NotReadyError
from penjing.security.needs import LOOK, OPEN, OPERATE, PREDICT, Need
from penjing.serve.answers import Answers
from penjing.serve.api.open_inference import metadata, repository
from penjing.serve.api.open_inference.errors import message_of
from penjing.serve.api.open_inference.paths import parse_ref
from penjing.serve.api.open_inference.replies import check_wanted, outputs_of
from penjing.serve.api.open_inference.requests import InferRequest, datatypes_of
from penjing.serve.grpc.calls import Answer, Call
from penjing.serve.grpc.messages import filled, message
from penjing.serve.grpc.open_inference.requests import read_request
from penjing.serve.plane import DataPlane
from penjing.serve.versions import Servable, Version

_PACKAGE = "inference"


class OpenInference:
    """See the module.

    Args:
        plane: answers inferences.
    """

    name = f"{_PACKAGE}.GRPCInferenceService"
    needs: Mapping[str, Need] = MappingProxyType(
        {
            "ServerLive": OPEN,
            "ServerReady": OPEN,
            "ServerMetadata": LOOK,
            "ModelReady": LOOK,
            "ModelMetadata": LOOK,
            "ModelConfig": LOOK,
            "ModelStatistics": LOOK,
            "ModelInfer": PREDICT,
            "RepositoryIndex": OPERATE,
            "RepositoryModelLoad": OPERATE,
            "RepositoryModelUnload": OPERATE,
        }
    )

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def answers(self) -> Mapping[str, Answer]:
        """See :class:`penjing.serve.grpc.calls.Service`."""
        return {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._statistics,
            "ModelInfer": self._infer,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }

    def text_of(self, error: Exception) -> str:
        """See :class:`penjing.serve.grpc.calls.Service`."""
        return message_of(error)

    async def _live(self, _request: Any, _call: Call) -> Any:
        return _filled("ServerLiveResponse", live=True)

    async def _ready(self, _request: Any, _call: Call) -> Any:
        is_ready = not self._plane.is_draining and not self._plane.models.why_not_ready()
        return _filled("ServerReadyResponse", ready=is_ready)

    async def _server_metadata(self, _request: Any, _call: Call) -> Any:
        return _filled("ServerMetadataResponse", **metadata.server_metadata())

    async def _model_ready(self, request: Any, _call: Call) -> Any:
        """Triton says false of what it does not know, too."""
        is_ready = False
        with suppress(ModelNotFoundError, NotReadyError), self._found(request.name, request.version):
            is_ready = not self._plane.is_draining
        return _filled("ModelReadyResponse", ready=is_ready)

    async def _model_metadata(self, request: Any, _call: Call) -> Any:
        with self._found(request.name, request.version) as version:
            return _filled("ModelMetadataResponse", **metadata.model_metadata(version, self._plane.models))

    async def _model_config(self, request: Any, _call: Call) -> Any:
        with self._found(request.name, request.version) as version:
            return _filled("ModelConfigResponse", config=metadata.model_config(version))

    async def _statistics(self, request: Any, _call: Call) -> Any:
        models = self._plane.models
        if not request.name:
            return _filled("ModelStatisticsResponse", **metadata.statistics(models.all()))
        with self._found(request.name, request.version) as version:
            shelf = models.shelf(request.name)
            asked = shelf.available() if shelf and not request.version else [version]
            return _filled("ModelStatisticsResponse", **metadata.statistics(asked))

    async def _infer(self, request: Any, call: Call) -> Any:
        call.model, call.api = request.model_name, "Infer"
        with self._found(request.model_name, request.model_version) as version:
            datatypes = datatypes_of(version.servable)  # an unknown model is told before anything about the inputs
        asked = await call.off_loop(partial(read_request, request, datatypes))
        if asked.timeout_s is not None:
            call.shorten(asked.timeout_s)
        with self._found(request.model_name, request.model_version) as version:
            check_wanted(asked, version.servable, model=request.model_name)
            answers = await call.ask(version, asked.inputs)
            return _response(answers, asked, version.servable)

    async def _index(self, request: Any, _call: Call) -> Any:
        listed = repository.index(self._plane.models, only_ready=request.ready)
        return _filled("RepositoryIndexResponse", models=listed)

    async def _load(self, request: Any, call: Call) -> Any:
        await repository.load(self._plane.models, request.model_name, request.parameters, deadline=call.deadline)
        return _filled("RepositoryModelLoadResponse")

    async def _unload(self, request: Any, _call: Call) -> Any:
        raise repository.refuse_unload(self._plane.models, request.model_name)

    @contextmanager
    def _found(self, model: str, version: str) -> Iterator[Version]:
        found = repository.find(self._plane.models, model, parse_ref(version))
        try:
            yield found
        finally:
            found.leave()


def _response(answers: Answers, asked: InferRequest, servable: Servable) -> Any:
    response = message(f"{_PACKAGE}.ModelInferResponse")(
        model_name=answers.model, model_version=str(answers.version), id=asked.id
    )
    for wanted, output in outputs_of(answers, asked, servable):
        response.outputs.add(name=wanted.name, datatype=output.datatype, shape=output.shape)
        response.raw_output_contents.append(output.content())
    return response


def _filled(name: str, /, **values: Any) -> Any:
    return filled(f"{_PACKAGE}.{name}", values)
