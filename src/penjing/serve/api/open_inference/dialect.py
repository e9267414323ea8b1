"""The Open Inference Protocol over REST, as Triton and KServe speak it.

What Penjing adds: ``input_ids`` may come without a mask, or texts may come instead; ``/versions/`` takes
an alias too; ``GET /v2/models`` lists the models; ``x-penjing-timeout-ms`` asks for an earlier deadline
(so does Triton's parameter ``timeout``); replies say what they cost.

Source: kserve/open-inference-protocol, ``specification/protocol/inference_rest.md``;
triton-inference-server/server, ``src/http_server.cc`` and ``docs/protocol``.
"""

from __future__ import annotations

from functools import partial

from penjing.core.errors import InvalidRequestError, NotReadyError, UnsupportedError
from penjing.serve.api.counting import counted
from penjing.serve.api.documents import LONG_BODY_BYTES, optional, parse_object
from penjing.serve.api.http import Reply, Request, Stream, json_reply
from penjing.serve.api.open_inference import errors, metadata, repository
from penjing.serve.api.open_inference.generating import generate
from penjing.serve.api.open_inference.openapi import DESCRIPTION
from penjing.serve.api.open_inference.paths import Call, parse_call
from penjing.serve.api.open_inference.replies import check_wanted, infer_reply
from penjing.serve.api.open_inference.repository import find
from penjing.serve.api.open_inference.requests import LENGTH_HEADER, Datatypes, InferRequest, datatypes_of, read_request
from penjing.serve.plane import DataPlane

_ENCODINGS = ("", "identity", "gzip", "deflate")


class OpenInference:
    """See the module.

    Args:
        plane: answers inferences.
    """

    description = DESCRIPTION

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def claims(self, path: str) -> bool:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return path == "/v2" or path.startswith("/v2/")

    async def answer(self, request: Request) -> Reply | Stream:
        """See :class:`penjing.serve.api.site.Dialect`."""
        call = parse_call(request.target.partition("?")[0])
        if call is None:
            return errors.refusal(404, "Not Found")
        if call.kind == "unsupported":
            raise UnsupportedError("this is one of Triton's calls that Penjing has not")
        if not call.allows(request.method):
            return errors.refusal(405, "Method Not Allowed")
        if call.kind == "infer":
            with counted(self._plane, call.model, request, api="Infer"):
                return await self._infer(call, request)
        if call.kind in ("generate", "generate_stream"):
            return await self._generate(call, request)
        if request.method == "POST":
            return await self._control(call, request)
        return self._look_up(call)

    def fault(self, error: Exception) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return errors.fault(error)

    async def _infer(self, call: Call, request: Request) -> Reply:
        version = find(self._plane.models, call.model, call.ref)
        version.leave()  # an unknown model is told before anything about the body
        asked = await self._read(call, request, datatypes_of(version.servable))
        deadline = request.deadline
        if asked.timeout_s is not None:
            deadline = min(deadline, request.began + asked.timeout_s)
        version = find(self._plane.models, call.model, call.ref)
        try:
            check_wanted(asked, version.servable, model=call.model)
            with request.while_connected():
                answers = await self._plane.ask(version, asked.inputs, deadline=deadline)
            return infer_reply(answers, asked, version.servable)
        finally:
            version.leave()

    async def _generate(self, call: Call, request: Request) -> Reply | Stream:
        document = parse_object(await request.body())
        version = find(self._plane.models, call.model, call.ref)
        try:
            streams = call.kind == "generate_stream"
            return await generate(self._plane, version, document, request=request, streams=streams)
        finally:
            version.leave()

    async def _read(self, call: Call, request: Request, datatypes: Datatypes) -> InferRequest:
        if request.header(b"content-encoding").strip().lower() not in _ENCODINGS:
            raise InvalidRequestError("Unsupported compression type", expected="gzip or deflate")
        body = await request.body()
        read = partial(read_request, body, request.header(LENGTH_HEADER), model=call.model, datatypes=datatypes)
        return read() if len(body) <= LONG_BODY_BYTES else await self._plane.aside(read, deadline=request.deadline)

    async def _control(self, call: Call, request: Request) -> Reply:
        body = await request.body()
        told = parse_object(body) if body.strip() else {}
        if call.kind == "index":
            only_ready = optional(told, "ready", bool) or False
            return json_reply(200, repository.index(self._plane.models, only_ready=only_ready))
        if call.kind == "unload":
            raise repository.refuse_unload(self._plane.models, call.model)
        await repository.load(
            self._plane.models, call.model, optional(told, "parameters", dict) or {}, deadline=request.deadline
        )
        return json_reply(200, {"name": call.model, "load": True})

    def _look_up(self, call: Call) -> Reply:
        models = self._plane.models
        if call.kind == "server":
            return json_reply(200, metadata.server_metadata())
        if call.kind == "live":
            return json_reply(200, {"live": True})
        if call.kind == "server-ready":
            return self._server_ready()
        if call.kind == "models":
            return json_reply(200, {"models": models.names()})
        if call.kind == "stats" and not call.model:
            return json_reply(200, metadata.statistics(models.all()))
        if call.kind == "ready":
            return self._model_ready(call)
        return self._told_of(call)

    def _told_of(self, call: Call) -> Reply:
        version = find(self._plane.models, call.model, call.ref)
        try:
            if call.kind == "config":
                return json_reply(200, metadata.model_config(version))
            if call.kind == "stats":
                shelf = self._plane.models.shelf(call.model)
                asked = shelf.available() if shelf and call.ref is None else [version]
                return json_reply(200, metadata.statistics(asked))
            return json_reply(200, metadata.model_metadata(version, self._plane.models))
        finally:
            version.leave()

    def _server_ready(self) -> Reply:
        """The specification's own text calls the key ``live``; KServe's server calls it ``ready``."""
        is_ready = not self._plane.is_draining and not self._plane.models.why_not_ready()
        return json_reply(200 if is_ready else 503, {"ready": is_ready, "live": True})

    def _model_ready(self, call: Call) -> Reply:
        try:
            find(self._plane.models, call.model, call.ref).leave()
        except NotReadyError as error:
            return json_reply(503, {"name": call.model, "ready": False, "error": str(error)})
        return json_reply(200, {"name": call.model, "ready": True})
