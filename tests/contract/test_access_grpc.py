"""Each method of each gRPC service, taken from the code, refuses strangers and those with another right."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from contract.grpc_client import spec
from penjing.security.access import Trusting
from penjing.security.scopes import VERBS, Role
from penjing.serve.grpc.calls import Calls
from penjing.serve.grpc.guard import Guard
from penjing.serve.grpc.listener import handlers_of, needs_of, services_of
from penjing.serve.grpc.messages import message
from penjing.serve.recipe import ServeRecipe
from serve.admitted import guarded

RECIPE = ServeRecipe(grpc_port=0, grpc_reflection=True)
CALLS = Calls(None, timeout_s=1, most=1)  # the plane is not asked
HANDLERS = handlers_of(None, RECIPE, CALLS)
METHODS = [(f"{service}/{method}", one) for service, methods in HANDLERS.items() for method, one in methods.items()]
NEEDS = needs_of(services_of(None, RECIPE, CALLS))
CLOSED = [(name, handler) for name, handler in METHODS if NEEDS[name].verb is not None]
LISTS = {"grpc.health.v1.Health/List", "inference.GRPCInferenceService/RepositoryIndex"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with (
        guarded(tmp_path_factory.mktemp("guarded"), grpc_port=0, grpc_reflection=True) as (server, keys),
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        yield channel, keys


def status(channel, name, handler, metadata=(), request=b""):
    """How a call ends, by the name of gRPC's code."""
    # All that are streams to the server are so for its own sake, but reflection.
    sends_stream = handler.response_streaming and handler.request_streaming
    kind = f"{'stream' if sends_stream else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
    call = getattr(channel, kind)(f"/{name}")
    sent = iter([request]) if sends_stream else request
    try:
        if handler.response_streaming:
            next(call(sent, timeout=10, metadata=metadata), None)
        else:
            call(sent, timeout=10, metadata=metadata)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


def bearer(key):
    return [("authorization", f"Bearer {key}")]


def role_for(name):
    return next(role for role in Role if NEEDS[name].verb in VERBS[role])


def test_every_method_says_what_it_needs():
    assert [name for name, _ in METHODS if name not in NEEDS] == []
    assert {name for name, _ in METHODS if NEEDS[name].verb is None} == {
        "grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch",
        "inference.GRPCInferenceService/ServerLive", "inference.GRPCInferenceService/ServerReady",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "handler"), METHODS, ids=[name for name, _ in METHODS])
def test_a_method(running, name, handler):
    channel, keys = running
    if NEEDS[name].verb is None:
        assert status(channel, name, handler)[0] == "OK"
        return
    for metadata in ((), bearer("pj_x"), bearer(keys["*:admin"]) * 2, [("authorization-bin", b"\xff")]):
        assert status(channel, name, handler, metadata)[0] == "UNAUTHENTICATED"
    for scopes in ("*:feedback", "m:operate" if role_for(name) == "predict" else "m:predict"):
        if NEEDS[name].verb != "look" or scopes == "*:feedback":
            assert status(channel, name, handler, bearer(keys[scopes]))[0] == "PERMISSION_DENIED"
    for role in (role_for(name), "admin"):
        assert status(channel, name, handler, bearer(keys[f"*:{role}"]))[0] not in (
            "UNAUTHENTICATED",
            "PERMISSION_DENIED",
        )
    assert status(channel, name, handler, [("x-api-key", keys["*:admin"])])[0] != "UNAUTHENTICATED"


REQUESTS = {
    "tensorflow.serving.PredictionService/Predict": "tensorflow.serving.PredictRequest",
    "tensorflow.serving.PredictionService/Classify": "tensorflow.serving.ClassificationRequest",
    "tensorflow.serving.PredictionService/Regress": "tensorflow.serving.RegressionRequest",
    "tensorflow.serving.ModelService/GetModelStatus": "tensorflow.serving.GetModelStatusRequest",
}
NAMED = {
    "inference.GRPCInferenceService/ModelReady": ("inference.ModelReadyRequest", "name"),
    "inference.GRPCInferenceService/ModelMetadata": ("inference.ModelMetadataRequest", "name"),
    "inference.GRPCInferenceService/ModelConfig": ("inference.ModelConfigRequest", "name"),
    "inference.GRPCInferenceService/ModelStatistics": ("inference.ModelStatisticsRequest", "name"),
    "inference.GRPCInferenceService/ModelInfer": ("inference.ModelInferRequest", "model_name"),
    "inference.GRPCInferenceService/RepositoryModelLoad": ("inference.RepositoryModelLoadRequest", "model_name"),
    "inference.GRPCInferenceService/RepositoryModelUnload": ("inference.RepositoryModelUnloadRequest", "model_name"),
}


def requests():
    for name, kind in REQUESTS.items():
        yield name, spec(message(kind)())
    metadata = spec(message("tensorflow.serving.GetModelMetadataRequest")(metadata_field=["signature_def"]))
    yield "tensorflow.serving.PredictionService/GetModelMetadata", metadata
    several = message("tensorflow.serving.MultiInferenceRequest")()
    spec(several.tasks.add())
    yield "tensorflow.serving.PredictionService/MultiInference", several
    for name, (kind, field) in NAMED.items():
        yield name, message(kind)(**{field: "m"})


@pytest.mark.parametrize(("name", "request_"), list(requests()), ids=[name for name, _ in requests()])
def test_a_method_that_names_a_model(running, name, request_):
    channel, keys = running
    handler, raw, role = dict(METHODS)[name], request_.SerializeToString(), role_for(name)
    code, said = status(channel, name, handler, bearer(keys[f"other:{role}"]), raw)
    assert (code, "'m'" in said) == ("PERMISSION_DENIED", True)
    assert status(channel, name, handler, bearer(keys[f"m:{role}"]), raw)[0] not in (
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
    )


def test_every_method_that_names_a_model_is_in_the_table():
    about_all = {"ServerLive", "ServerReady", "ServerMetadata", "HandleReloadConfigRequest", "ServerReflectionInfo"}
    others = {name for name, _ in METHODS if name.split("/")[1] not in about_all} - LISTS
    assert others - {"grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch"} == {name for name, _ in requests()}


def test_lists_and_health_tell_each_caller_of_its_own(running):
    channel, keys = running

    def told(name, response, metadata, request=b""):
        read = message(response).FromString
        return channel.unary_unary(f"/{name}", response_deserializer=read)(request, metadata=metadata, timeout=10)

    for scopes, seen in (("m:operate", True), ("other:operate", False)):
        index = told("inference.GRPCInferenceService/RepositoryIndex", "inference.RepositoryIndexResponse",
                     bearer(keys[scopes]))  # fmt: skip
        assert {one.name for one in index.models} == ({"m"} if seen else set())
        health = told("grpc.health.v1.Health/List", "grpc.health.v1.HealthListResponse", bearer(keys[scopes]))
        assert ("m" in health.statuses) is seen
    check = ("grpc.health.v1.Health/Check", dict(METHODS)["grpc.health.v1.Health/Check"])
    asked = message("grpc.health.v1.HealthCheckRequest")(service="m").SerializeToString()
    assert status(channel, *check, (), asked)[0] == "NOT_FOUND"
    assert status(channel, *check, bearer(keys["m:predict"]), asked)[0] == "OK"


def test_a_handler_without_a_declaration_is_refused_to_all():
    """Even where everybody else is trusted."""

    class Context:
        aborted = None

        def invocation_metadata(self):
            return ()

        def peer(self):
            return "unix:"

        async def abort(self, code, text, _trailing):
            self.aborted = code
            raise RuntimeError(text)

    async def never(_requests, _context):
        raise AssertionError

    context = Context()
    handler = Guard(Trusting()).around(grpc.stream_unary_rpc_method_handler(never), "x/Y", None)
    with pytest.raises(RuntimeError, match="does not declare"):
        asyncio.run(handler.stream_unary(None, context))
    assert context.aborted is grpc.StatusCode.PERMISSION_DENIED
