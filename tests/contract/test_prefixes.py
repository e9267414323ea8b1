"""Which dialect answers where: KServe V1 and OpenAI under their prefixes, strict answers, shared URLs."""

from __future__ import annotations

import pytest

from contract.cases import EVEN, Case, check, send, served
from penjing.store.store import Store
from serve.doubles import FakeEngine, opens, publish, serving

EVEN_ROW = {"label": "good", "score": EVEN["good"], "probabilities": list(EVEN.values())}
STATUSES = [
    {"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for version in ("2", "1")
]
PREDICT = "/kserve/v1/models/m:predict"


def openai_error(message, code=None, param=None):
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


# Source of V1: kserve/kserve, python/kserve/kserve/protocol/rest/v1_endpoints.py and errors.py.
KSERVE = (
    Case("V1", "alive", "GET", "/kserve", json={"status": "alive"}),
    Case("V1", "alive, with a slash", "GET", "/kserve/", json={"status": "alive"}),
    Case("V1", "list", "GET", "/kserve/v1/models", json={"models": ["m"]}),
    Case("V1", "ready", "GET", "/kserve/v1/models/m", json={"name": "m", "ready": True}),
    Case("V1", "unknown", "GET", "/kserve/v1/models/x", status=404,
         json={"error": "Model with name x does not exist."}),
    Case("V1", "texts", "POST", PREDICT, {"instances": ["w1"]}, json={"predictions": [EVEN_ROW]}),
    Case("V1", "ids", "POST", PREDICT, {"instances": [{"input_ids": [2, 7, 3]}]},
         json={"predictions": [[6.0, 7.0, 8.0]]}),
    Case("V1", "of an unknown model", "POST", "/kserve/v1/models/x:predict", {"instances": ["a"]}, 404,
         json={"error": "Model with name x does not exist."}),
    Case("V1", "instances is no list", "POST", PREDICT, {"instances": {}}, 400,
         contains=("'instances' to be an list",)),
    Case("V1", "no JSON", "POST", PREDICT, "{", 400, contains=("JSON Parse error",)),
    Case("V1", "no explanations", "POST", "/kserve/v1/models/m:explain", {"instances": ["a"]}, 501,
         contains=("does not explain",)),
    Case("V1", "no versions", "POST", "/kserve/v1/models/m/versions/1:predict", {"instances": ["a"]}, 404,
         json={"error": "Not Found"}),
    Case("V1", "no classify", "POST", "/kserve/v1/models/m:classify", "{}", 404),
    Case("V1", "the wrong verb", "GET", PREDICT, status=405, json={"error": "Method Not Allowed"}),
    Case("V1", "no other dialect below", "GET", "/kserve/v2", status=404),
)  # fmt: skip

# Source: openai/openai-openapi, and the error objects of its API.
OPENAI = (
    Case("OAI", "unknown model", "GET", "/openai/v1/models/x", status=404,
         json=openai_error("The model 'x' does not exist", "model_not_found", "model")),
    Case("OAI", "a name with a slash", "GET", "/openai/v1/models/a/b", status=404,
         json=openai_error("The model 'a/b' does not exist", "model_not_found", "model")),
    Case("OAI", "unknown route", "GET", "/openai/v1/foo", status=404, json=openai_error("Invalid URL (GET /v1/foo)")),
    Case("OAI", "a classifier gives no embeddings", "POST", "/openai/v1/embeddings", {"model": "m", "input": "a"}, 400,
         json=openai_error("The model 'm' gives no embeddings", "unsupported")),
    Case("OAI", "the wrong verb", "DELETE", "/openai/v1/models/m", status=405,
         contains=('"code":"method_not_supported"',)),
)  # fmt: skip

STRICT = (
    Case("A.1", "TensorFlow Serving has no list", "GET", "/tfs/v1/models", status=400,
         contains=("Missing model name in request.",)),
    Case("A.5", "its status has no other's keys", "GET", "/tfs/v1/models/m", json={"model_version_status": STATUSES}),
    Case("A.3", "it predicts", "POST", "/tfs/v1/models/m:predict", {"instances": ["w1"]},
         json={"predictions": [EVEN_ROW]}),
    Case("A.1", "its errors name the path that it knows", "GET", "/tfs/v1/foo", status=400,
         contains=("Malformed request: GET /v1/foo",)),
    Case("A.1", "outside its paths it has a page", "GET", "/tfs/foo", status=404, contains=("<HTML>",)),
    Case("ADD", "a prefix is a whole part of a path", "GET", "/tfsx/v1/models", status=404, contains=("<HTML>",)),
    Case("ADD", "a prefix is matched as it is written", "GET", "/%74fs/v1/models", status=404, contains=("<HTML>",)),
    Case("ADD", "KServe's paths are no bare ones", "GET", "/v1/models/m:explain", status=400,
         contains=("Malformed request",)),
)  # fmt: skip

CASES = (*KSERVE, *OPENAI, *STRICT)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(server, case):
    check(case, send(server, case))


def get(server, target):
    return send(server, Case("", "", "GET", target)).json


def test_each_name_of_the_list_has_its_own_keys(server):
    model = get(server, "/openai/v1/models/m")
    assert set(model) == {"id", "object", "created", "owned_by"}
    assert (model["id"], model["object"], model["owned_by"]) == ("m", "model", "penjing")
    assert model["created"] > 1.7e9
    assert get(server, "/openai/v1/models") == {"object": "list", "data": [model]}
    union = get(server, "/v1/models/m")
    assert set(union) == {*model, "name", "ready", "model_version_status"}


def test_kserve_counts_its_predictions(server):
    send(server, Case("", "", "POST", PREDICT, {"instances": ["w1"]}))
    page = send(server, Case("", "", "GET", "/metrics")).body.decode()
    assert 'penjing_requests_total{model="m",status="OK"}' in page


def test_before_the_model_is_ready(tmp_path):
    store = Store(tmp_path)
    publish(store)
    engine = FakeEngine()
    engine.gate.clear()
    with serving(store, open_with=opens(engine), ready_within_s=None) as server:
        while not server.plane.models.names():
            pass
        for case in (
            Case("", "", "GET", "/kserve/v1/models/m"),
            Case("", "", "POST", PREDICT, {"instances": ["w1"]}),
        ):
            answer = send(server, case)
            assert (answer.status, answer.json) == (503, {"error": "Model with name m is not ready."})
        assert get(server, "/openai/v1/models/m")["created"] == 0
        engine.gate.set()


@pytest.mark.parametrize("target", ["/v2", "/tei/info", "/openai/v1/models/x", "/kserve/v1/models", "/tfs/v1/models/m"])
def test_browsers_may_call_where_the_recipe_says_so(tmp_path, target):
    store = Store(tmp_path)
    publish(store)
    with serving(store, cors=True) as server:
        preflight = send(server, Case("", "", "OPTIONS", target, headers={"Origin": "http://here"}))
        assert preflight.status == 200
        for answer in (preflight, send(server, Case("", "", "GET", target))):
            assert answer.headers["access-control-allow-origin"] == "*"
