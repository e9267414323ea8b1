"""Every example of the table, over a real socket, byte for byte as it was written down."""

from __future__ import annotations

import http.client
import json

import numpy as np
import pytest

from contract.tensorflow_serving_cases import CASES, Case
from penjing.serve.api.tensorflow_serving.printing import decimals
from penjing.store.store import Store
from serve.doubles import LABELS, publish, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    publish(store)
    publish(store)
    store.aliases.set("m", "stable", version=1)
    with serving(store, versions={"kind": "all"}) as running:
        yield running


@pytest.fixture(scope="module")
def connection(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    yield connection
    connection.close()


def ask(connection, case):
    sent = case.sent.encode() if isinstance(case.sent, str) else case.sent
    connection.request(case.method, case.target, body=sent, headers=case.headers)
    reply = connection.getresponse()
    return reply.status, reply.headers, reply.read()


def is_close(came, expected):
    if isinstance(expected, float):
        return isinstance(came, float) and abs(came - expected) <= 1e-6
    if isinstance(expected, list):
        return len(came) == len(expected) and all(map(is_close, came, expected))
    if isinstance(expected, dict):
        return set(came) == set(expected) and all(is_close(came[key], expected[key]) for key in expected)
    return came == expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.clause} {case.name}")
def test_case(connection, case):
    status, headers, body = ask(connection, case)
    assert status == case.status, body
    if case.json is not None:
        assert is_close(json.loads(body), case.json), body
    if case.body is not None:
        assert body == case.body
    if case.error is not None or case.contains:
        assert headers["content-type"] == "application/json"
        answer = json.loads(body)
        assert list(answer) == ["error"]
        assert case.error is None or answer["error"] == case.error
        for part in case.contains:
            assert part in answer["error"]
        assert body.startswith(b'{\n    "error": "')


def test_the_table_is_whole():
    assert len(CASES) > 120
    names = [(case.clause, case.name) for case in CASES]
    assert len(set(names)) == len(names)


def test_status_carries_three_dialects(connection):
    _, _, body = ask(connection, Case("A.5", "", "GET", "/v1/models/m"))
    answer = json.loads(body)
    assert [status["version"] for status in answer["model_version_status"]] == ["2", "1"]
    assert answer["id"] == answer["name"] == "m"
    assert (answer["object"], answer["owned_by"], answer["ready"]) == ("model", "penjing", True)
    assert isinstance(answer["created"], int)


def test_the_list_of_models(connection):
    _, _, body = ask(connection, Case("1.6", "", "GET", "/v1/models"))
    answer = json.loads(body)
    assert answer["models"] == ["m"]
    assert answer["object"] == "list"
    assert [model["id"] for model in answer["data"]] == ["m"]


@pytest.mark.parametrize(("path", "version"), [("", "2"), ("/versions/1", "1"), ("/labels/stable", "1")])
def test_metadata(connection, path, version):
    _, _, body = ask(connection, Case("A.5", "", "GET", f"/v1/models/m{path}/metadata"))
    answer = json.loads(body)
    assert answer["model_spec"] == {"name": "m", "signature_name": "", "version": version}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"serving_default", "text", "classify"}
    default = signatures["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    assert default["inputs"]["input_ids"] == {
        "dtype": "DT_INT64",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "input_ids:0",
    }
    assert default["outputs"]["logits"]["tensor_shape"]["dim"][1]["size"] == str(len(LABELS))


def test_floats_read_back_as_the_same_float32():
    special = [0.0, -0.0, 3.0, 0.2, 1 / 3, 9e6, 3e-5, 3.4028235e38, 1e-45, np.nan, np.inf, -np.inf]
    texts = decimals(np.array(special, np.float32))
    assert texts == [
        *["0.0", "-0.0", "3.0", "0.2", "0.333333343", "9e+06", "3e-05", "3.40282347e+38", "1.4013e-45"],
        *["NaN", "Infinity", "-Infinity"],
    ]
    assert json.loads(f"[{', '.join(texts[9:])}]")[1] == float("inf")


def test_replies_say_what_they_cost(connection):
    _, headers, _ = ask(connection, next(case for case in CASES if case.name == "several rows, padded"))
    assert headers["x-penjing-tokens"] == "5"
    for part in ("tokenize", "queue", "run"):
        assert float(headers[f"x-penjing-{part}-ms"]) >= 0
    assert 0 < float(headers["x-penjing-batch-fill"]) <= 1


def test_cut_texts_are_said(connection):
    long = Case("", "", "POST", "/v1/models/m:predict", json.dumps({"instances": ["w1 " * 50, "w1"]}))
    status, headers, _ = ask(connection, long)
    assert (status, headers["x-penjing-cut-texts"]) == (200, "1")


def test_a_long_body_is_read_aside(connection):
    instances = [{"input_ids": [2, 7, 3], "attention_mask": [1, 1, 1]}] * 2000
    status, _, body = ask(
        connection, Case("", "", "POST", "/v1/models/m:predict", json.dumps({"instances": instances}))
    )
    assert status == 200
    assert json.loads(body)["predictions"] == [[6.0, 7.0, 8.0]] * 2000


def test_cors(tmp_path):
    store = Store(tmp_path)
    publish(store)
    with serving(store, cors=True) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        preflight = Case("A.1", "", "OPTIONS", "/v1/models/m:predict", headers={"Origin": "http://here"})
        for case in (preflight, Case("", "", "GET", "/v1/models/m"), Case("", "", "GET", "/v1/models/x")):
            _, headers, _ = ask(connection, case)
            assert headers["access-control-allow-origin"] == "*"
        connection.close()
