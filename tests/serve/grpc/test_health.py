"""Health and reflection, through gRPC's own client libraries."""

from __future__ import annotations

import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from contract.grpc_client import Client, connected
from penjing.serve.grpc.messages import message, pool
from penjing.store.store import Store
from serve.doubles import FakeEngine, opens, publish, serving

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3
OURS = [
    "grpc.health.v1.Health", "inference.GRPCInferenceService", "tensorflow.serving.ModelService",
    "tensorflow.serving.PredictionService",
]  # fmt: skip


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store)
    return store


def stub(client):
    return health_pb2_grpc.HealthStub(client.channel)


def check(client, service=""):
    return stub(client).Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


class Watched:
    """The states that a watcher was told, as they came."""

    def __init__(self, client, service=""):
        self.told = []
        self._call = stub(client).Watch(health_pb2.HealthCheckRequest(service=service))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        try:
            for response in self._call:
                self.told.append(response.status)
        except grpc.RpcError as error:
            self.told.append(error.code().name)

    def until(self, *told):
        end = time.monotonic() + 10
        while self.told != list(told):
            assert time.monotonic() < end, self.told
            time.sleep(0.01)

    def end(self):
        self._call.cancel()
        self._thread.join()


def test_not_serving_until_warm(store):
    engine = FakeEngine(instances=1)
    engine.gate.clear()
    told = {"open_with": opens(engine), "ready_within_s": None, "grpc_port": 0}
    with serving(store, **told) as server, connected(server) as client:
        until(server.plane.models.names)  # before the first look at the store, no model is known
        watched = Watched(client), Watched(client, "m"), Watched(client, "x")
        for one, state in zip(watched, (NOT_SERVING, NOT_SERVING, UNKNOWN), strict=True):
            one.until(state)
        assert [check(client, name) for name in ("", "m", *OURS)] == [NOT_SERVING] * 6
        engine.gate.set()
        server.wait_until_ready(timeout_s=10)
        assert [check(client, name) for name in ("", "m", *OURS)] == [SERVING] * 6
        watched[0].until(NOT_SERVING, SERVING)
        watched[1].until(NOT_SERVING, SERVING)
        for one in watched:
            one.end()


def test_unknown_services(store):
    with serving(store, grpc_port=0) as server, connected(server) as client:
        with pytest.raises(grpc.RpcError) as caught:
            check(client, "x")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watched = Watched(client, "late")
        watched.until(UNKNOWN)
        publish(store, "late")
        until(lambda: watched.told[-1] == SERVING)
        watched.end()


def test_the_list(store):
    with serving(store, grpc_port=0) as server, connected(server) as client:
        told = client.call("grpc.health.v1.Health/List", message("grpc.health.v1.HealthListRequest")()).statuses
        assert {name: one.status for name, one in told.items()} == dict.fromkeys(["", "m", *OURS], SERVING)


def test_a_server_that_stops_is_not_serving_before_it_is_gone(store):
    engine = FakeEngine(instances=1)
    with serving(store, open_with=opens(engine), grpc_port=0) as server, connected(server) as client:
        watched = Watched(client, "m")
        watched.until(SERVING)
        server.stop()
        watched.until(SERVING, NOT_SERVING, "UNAVAILABLE")
        watched.end()


def test_a_broken_model_is_told_apart(store):
    publish(store, "broken", engine=b"broken")
    with serving(store, ready_within_s=None, grpc_port=0) as server, connected(server) as client:
        until(server.plane.models.names)
        until(lambda: check(client, "m") == SERVING)
        assert (check(client, "broken"), check(client)) == (NOT_SERVING, NOT_SERVING)


def test_watchers_hold_no_stop_up(store):
    with serving(store, grpc_port=0) as server, connected(server) as client:
        watched = [Watched(client) for _ in range(20)]
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 3
        for one in watched:
            one.end()


# Reflection --------------------------------------------------------------------------------------------------------


def test_reflection_is_off_unless_asked_for(store):
    with serving(store, grpc_port=0) as server, connected(server) as client:
        with pytest.raises(grpc.RpcError) as caught:
            ProtoReflectionDescriptorDatabase(client.channel).get_services()
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_reflection_tells_all(store):
    with serving(store, grpc_port=0, grpc_reflection=True) as server, connected(server) as client:
        told = ProtoReflectionDescriptorDatabase(client.channel)
        names = sorted(told.get_services())
        assert names == sorted([*OURS, *(f"grpc.reflection.{one}.ServerReflection" for one in ("v1", "v1alpha"))])
        for name in names:
            file = told.FindFileContainingSymbol(name)
            assert file.name == pool().FindFileContainingSymbol(name).name
            assert told.FindFileByName(file.name) == file
        with pytest.raises(KeyError):
            told.FindFileContainingSymbol("no.such.Thing")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_what_reflection_does_not_tell(store, version):
    name = f"grpc.reflection.{version}"
    request, response = (message(f"{name}.ServerReflection{kind}") for kind in ("Request", "Response"))
    with serving(store, grpc_port=0, grpc_reflection=True) as server:
        client = Client(server.grpc_address)
        caller = client.channel.stream_stream(
            f"/{name}.ServerReflection/ServerReflectionInfo",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        asked = [request(host="h", file_by_filename="none.proto"), request(), request(list_services="*")]
        none, unknown, listed = caller(iter(asked), timeout=5)
        assert (none.error_response.error_code, none.valid_host) == (5, "h")
        assert unknown.error_response.error_code == 12
        assert len(listed.list_services_response.service) == 6
        client.channel.close()
