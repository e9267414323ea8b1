"""TensorFlow Serving's model calls: metadata, states, and a new list of models while the server runs."""

from __future__ import annotations

import time

import httpx
import pytest
from google.protobuf import json_format

from contract.cases import served
from contract.grpc_client import PREDICT, TFS, connected, predict, spec, tensor
from penjing.serve.grpc.messages import message
from penjing.store.store import Store
from serve.doubles import publish, serving

METADATA = f"{TFS}.PredictionService/GetModelMetadata"
STATUS = f"{TFS}.ModelService/GetModelStatus"
RELOAD = f"{TFS}.ModelService/HandleReloadConfigRequest"
ONE = {"input_ids": tensor([[7]])}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store"), grpc_port=0) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with connected(server) as client:
        yield client


@pytest.fixture
def store(tmp_path):
    """Two models of two versions; ``stable`` is version 1 of the one."""
    store = Store(tmp_path)
    for model in ("m", "m", "n", "n"):
        publish(store, model)
    return store


def over_rest(server, path):
    return httpx.get(f"{server.url}/tfs/v1/models/{path}").json()


def plain(response):
    return json_format.MessageToDict(
        response, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def metadata(fields=("signature_def",), **named):
    return spec(message(f"{TFS}.GetModelMetadataRequest")(metadata_field=fields), **named)


def status(**named):
    return spec(message(f"{TFS}.GetModelStatusRequest")(), **named)


@pytest.mark.parametrize(
    ("named", "path"), [({}, "m"), ({"version": 1}, "m/versions/1"), ({"label": "stable"}, "m/labels/stable")]
)
def test_metadata_is_what_rest_tells(server, client, named, path):
    response = client.call(METADATA, metadata(**named))
    packed = message(f"{TFS}.SignatureDefMap")()
    assert response.metadata["signature_def"].type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    assert response.metadata["signature_def"].Unpack(packed)
    told = over_rest(server, f"{path}/metadata")
    assert str(response.model_spec.version.value) == told["model_spec"]["version"]
    expected = told["metadata"]["signature_def"]["signature_def"]
    for signature in expected.values():
        del signature["defaults"]
    assert plain(packed)["signature_def"] == expected


@pytest.mark.parametrize(
    ("named", "path"), [({}, "m"), ({"version": 1}, "m/versions/1"), ({"label": "no"}, "m/labels/no")]
)
def test_states_are_what_rest_tells(server, client, named, path):
    assert plain(client.call(STATUS, status(**named))) == over_rest(server, path)


@pytest.mark.parametrize(
    ("method", "request_", "code", "details"),
    [
        (METADATA, message(f"{TFS}.GetModelMetadataRequest")(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (
            METADATA,
            metadata(fields=()),
            "INVALID_ARGUMENT",
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (METADATA, metadata(fields=("graph",)), "INVALID_ARGUMENT", "Metadata field graph is not supported"),
        (METADATA, metadata(model="x"), "NOT_FOUND", "Servable not found for request: Latest(x)"),
        (STATUS, message(f"{TFS}.GetModelStatusRequest")(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (STATUS, status(model="x"), "NOT_FOUND", "Could not find any versions of model x"),
        (STATUS, status(version=9), "NOT_FOUND", "Could not find version 9 of model m"),
    ],
)
def test_faults(client, method, request_, code, details):
    refused = client.refused(method, request_)
    assert (refused.code, refused.details) == (code, details)


def test_the_state_of_a_version_that_could_not_be_loaded(tmp_path):
    store = Store(tmp_path)
    publish(store, engine=b"broken")
    with serving(store, ready_within_s=None, grpc_port=0) as server, connected(server) as client:
        client.channel.subscribe(lambda _: None, try_to_connect=True)
        until = time.monotonic() + 10
        while not server.plane.models.has_given_up():
            assert time.monotonic() < until
            time.sleep(0.01)
        (told,) = client.call(STATUS, status()).model_version_status
        assert (told.version, told.state, told.status.error_code) == (1, 50, 13)
        assert "the file is broken" in told.status.error_message
        assert client.refused(PREDICT, predict(inputs=ONE)).code == "NOT_FOUND"


# Reload ----------------------------------------------------------------------------------------------------------


def reload(*models):
    request = message(f"{TFS}.ReloadConfigRequest")()
    request.config.model_config_list.SetInParent()
    for model in models:
        request.config.model_config_list.config.add(**model)
    return request


def latest(count):
    return {"latest": {"num_versions": count}}


def served_versions(client, model):
    versions = client.call(STATUS, status(model=model)).model_version_status
    return {one.version for one in versions if one.state == 30}


def eventually(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_reload_sets_models_versions_and_labels(store):
    with serving(store, grpc_port=0) as server, connected(server) as client:
        assert (served_versions(client, "m"), served_versions(client, "n")) == ({2}, {2})
        request = reload(
            {
                "name": "m", "base_path": str(store.root / "m"), "model_platform": "tensorflow",
                "model_version_policy": {"specific": {"versions": [1]}}, "version_labels": {"stable": 1},
            }
        )  # fmt: skip
        assert client.call(RELOAD, request).status.error_code == 0
        answered = client.call(PREDICT, predict(inputs=ONE, label="stable"))
        assert answered.model_spec.version.value == 1
        eventually(lambda: served_versions(client, "m") == {1} and served_versions(client, "n") == set())
        assert client.refused(PREDICT, predict(inputs=ONE, model="n")).code == "NOT_FOUND"
        assert httpx.get(f"{server.url}/readyz").status_code == 200

        client.call(RELOAD, reload({"name": "n", "model_version_policy": {"all": {}}}, {"name": "m"}))
        assert served_versions(client, "n") == {1, 2}
        eventually(lambda: served_versions(client, "m") == {2})
        assert client.refused(PREDICT, predict(inputs=ONE, label="stable")).code == "INVALID_ARGUMENT"
        client.call(RELOAD, reload({"name": "n", "model_version_policy": latest(0)}))
        eventually(lambda: served_versions(client, "n") == {2})


def test_an_empty_list_unloads_everything(store):
    with serving(store, grpc_port=0) as server, connected(server) as client:
        client.call(RELOAD, reload())
        eventually(lambda: not served_versions(client, "m") and not served_versions(client, "n"))
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        client.call(RELOAD, reload({"name": "m"}))
        assert served_versions(client, "m") == {2}


def test_a_reload_loses_no_request(store):
    with serving(store, grpc_port=0) as server, connected(server) as client:
        for policy in (latest(2), {"specific": {"versions": [1]}}, latest(1)):
            asked = [client.future(PREDICT, predict(inputs=ONE)) for _ in range(20)]
            client.call(RELOAD, reload({"name": "m", "model_version_policy": policy}))
            asked += [client.future(PREDICT, predict(inputs=ONE)) for _ in range(20)]
            assert {call.code().name for call in asked} == {"OK"}


REFUSED = [
    (message(f"{TFS}.ReloadConfigRequest")(), "INVALID_ARGUMENT", "Only ModelConfigList is currently supported"),
    (reload({"name": "m"}, {"name": "m"}), "INVALID_ARGUMENT", "Illegal to list model m multiple times in config list"),
    (reload({"name": "x"}), "NOT_FOUND", "model 'x' is unknown; expected one of: m, n. Publish the model"),
    (reload({"name": "../m"}), "NOT_FOUND", "model '../m' is unknown"),
    (reload({"name": "m", "base_path": "/elsewhere/m"}), "INVALID_ARGUMENT", "is not where model m lies"),
    (reload({"name": "m", "base_path": "a\0b"}), "INVALID_ARGUMENT", "is not where model m lies"),
    (reload({"name": "m", "model_platform": "caffe"}), "INVALID_ARGUMENT", "requests unsupported platform caffe"),
    (reload({"name": "m", "logging_config": {}}), "UNIMPLEMENTED", "requests are not logged. Leave"),
    (
        reload({"name": "m", "model_version_policy": {"specific": {}}}),
        "INVALID_ARGUMENT",
        "model m is to be served in no version",
    ),
    (
        reload({"name": "m", "version_labels": {"stable": 7}}),
        "FAILED_PRECONDITION",
        "Request to assign label to version 7 of model m, which is not currently available for inference",
    ),
]  # fmt: skip


def test_what_cannot_be_done_changes_nothing(store):
    with_names = message(f"{TFS}.ReloadConfigRequest")(metric_names=["x"])
    with_names.config.model_config_list.SetInParent()
    cases = [*REFUSED, (with_names, "UNIMPLEMENTED", "Leave metric_names out")]
    with serving(store, grpc_port=0) as server, connected(server) as client:
        for request, code, part in cases:
            refused = client.refused(RELOAD, request)
            assert (refused.code, part in refused.details) == (code, True), refused
        assert not server.plane.models.wishes.is_complete
        assert (served_versions(client, "m"), served_versions(client, "n")) == ({2}, {2})


def test_a_reload_waits_for_what_it_loads(tmp_path):
    store = Store(tmp_path)
    publish(store)
    publish(store, "broken", engine=b"broken")
    with serving(store, models=("m",), grpc_port=0) as server, connected(server) as client:
        refused = client.refused(RELOAD, reload({"name": "m"}, {"name": "broken"}))
        assert refused.code == "UNAVAILABLE"
        assert refused.details.startswith("Some models did not become available: {broken: loading failed")
        assert served_versions(client, "m") == {1}
        refused = client.refused(
            RELOAD, reload({"name": "broken", "model_version_policy": {"all": {}}, "version_labels": {"a": 1}})
        )
        assert refused.code == "UNAVAILABLE"


def test_a_label_on_a_version_that_cannot_be_loaded(tmp_path):
    store = Store(tmp_path)
    publish(store, engine=b"broken")
    publish(store)
    with serving(store, grpc_port=0) as server, connected(server) as client:
        refused = client.refused(RELOAD, reload({"name": "m", "version_labels": {"old": 1}}))
        assert (refused.code, "version 1 of model m" in refused.details) == ("FAILED_PRECONDITION", True)
        assert served_versions(client, "m") == {2}
