"""Every example of the table over a real socket, and what a table cannot say."""

from __future__ import annotations

import json
import struct
from itertools import chain

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.cases import Case, check, send, served
from contract.open_inference_cases import (
    CASES,
    INFER,
    ONE,
    TWO_TEXTS,
    asking,
    binary,
    binary_ids,
    ids,
    packed,
    text,
)
from penjing.store.store import Store
from serve.doubles import FakeEngine, halves, opens, publish, serving

LENGTH = "Inference-Header-Content-Length"
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store")) as running:
        yield running


def infer(server, document, *contents, wanted=None):
    body, headers = binary(document, *contents) if contents else (json.dumps(document), {})
    return send(server, Case("", "", "POST", INFER, body, headers=headers))


def outputs(answer):
    """Name → values, whether they came in JSON or behind it."""
    length = int(answer.headers.get(LENGTH, len(answer.body)))
    tail, found = answer.body[length:], {}
    for one in json.loads(answer.body[:length])["outputs"]:
        size = one.get("parameters", {}).get("binary_data_size")
        if size is None:
            values = one["data"]
        elif one["datatype"] == "BYTES":
            values = unpacked(tail[:size])
        else:
            values = np.frombuffer(tail[:size], "<f4").tolist()
        tail = tail[size or 0 :]
        found[one["name"]] = (one["shape"], values)
    assert not tail
    return found


def unpacked(content):
    texts = []
    while content:
        (length,) = struct.unpack("<I", content[:4])
        texts.append(content[4 : 4 + length].decode())
        content = content[4 + length :]
    return texts


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(server, case):
    check(case, send(server, case))


def test_the_table_is_whole():
    assert len(CASES) > 120
    assert len({str(case) for case in CASES}) == len(CASES)


def test_metadata(server):
    answer = send(server, Case("OIP", "", "GET", "/v2")).json
    assert (answer["name"], answer["version"]) == ("penjing", "0.1.0")
    assert {"binary_tensor_data", "classification", "statistics", "model_repository"} <= set(answer["extensions"])
    model = send(server, Case("OIP", "", "GET", "/v2/models/m/versions/1")).json
    assert (model["name"], model["versions"], model["platform"]) == ("m", ["1", "2"], "penjing_onnxruntime")
    assert [one["name"] for one in model["inputs"]] == [
        *("text", "text_pair", "input_ids", "attention_mask", "token_type_ids")
    ]
    assert model["outputs"][-1] == {"name": "logits", "datatype": "FP32", "shape": [-1, 3]}
    config = send(server, Case("SRV", "", "GET", "/v2/models/m/config")).json
    assert config["input"][2] == {"name": "input_ids", "data_type": "TYPE_INT64", "dims": [-1, -1], "optional": True}


def test_statistics_count_what_was_asked(server):
    def of(version):
        (one,) = send(server, Case("STA", "", "GET", f"/v2/models/m/versions/{version}/stats")).json["model_stats"]
        return one

    before, other = of(2), of(1)
    infer(server, TWO_TEXTS)
    infer(server, asking(ids([100], [1, 1])))  # an id that the model has not
    after = of(2)
    grown = {
        key: after["inference_stats"][key]["count"] - before["inference_stats"][key]["count"]
        for key in ("success", "fail")
    }
    assert grown == {"success": 1, "fail": 1}
    assert after["inference_count"] == before["inference_count"] + 2
    assert after["execution_count"] == before["execution_count"] + 1
    assert after["inference_stats"]["compute_infer"]["ns"] > before["inference_stats"]["compute_infer"]["ns"]
    assert after["last_inference"] > 1.7e12
    assert of(1) == other
    assert len(send(server, Case("STA", "", "GET", "/v2/models/stats")).json["model_stats"]) == 2


def test_binary_in_and_out(server):
    document = asking(binary_ids(24, [1, 3]), parameters={"binary_data_output": True})
    answer = infer(server, document, struct.pack("<3q", 2, 7, 3))
    assert answer.headers["content-type"] == "application/octet-stream"
    assert outputs(answer) == {"logits": ([1, 3], [6.0, 7.0, 8.0])}
    assert answer.body.endswith(struct.pack("<3f", 6, 7, 8))


def test_one_output_overrides_the_request(server):
    wanted = [{"name": "label"}, {"name": "logits", "parameters": {"binary_data": False}}]
    answer = infer(server, asking(text(["w1"], [1]), outputs=wanted, parameters={"binary_data_output": True}))
    head = json.loads(answer.body[: int(answer.headers[LENGTH])])
    assert [("data" in one, "parameters" in one) for one in head["outputs"]] == [(False, True), (True, False)]
    assert outputs(answer)["label"] == ([1], ["good"])


def test_a_binary_reply_without_a_byte_is_plain_json(server):
    answer = infer(server, asking(ids([], [0, 3]), parameters={"binary_data_output": True}))
    assert answer.headers["content-type"] == "application/json"
    assert LENGTH not in answer.headers
    assert answer.json["outputs"][0]["parameters"] == {"binary_data_size": 0}


words = st.sampled_from(["w1", "w7 w8", "", "深度学习", "naïve café", "🚀", "a\x00b", "w1 " * 20])


@given(texts=st.lists(words, min_size=1, max_size=5), column=st.booleans())
@QUICK
def test_texts_in_bytes_are_answered_as_texts_in_json(server, texts, column):
    shape = [len(texts), 1] if column else [len(texts)]
    content = packed(*(one.encode() for one in texts))
    sent = {"name": "text", "datatype": "BYTES", "shape": shape, "parameters": {"binary_data_size": len(content)}}
    in_json = infer(server, asking(text(texts, shape)))
    in_bytes = infer(server, asking(sent, parameters={"binary_data_output": True}), content)
    assert in_json.status == in_bytes.status == 200
    assert outputs(in_json) == outputs(in_bytes)


@given(rows=st.lists(st.lists(st.integers(0, 99), min_size=4, max_size=4), min_size=1, max_size=4), small=st.booleans())
@QUICK
def test_ids_in_bytes_are_answered_as_ids_in_json(server, rows, small):
    rows = [[number if number not in (4, 5) else 6 for number in row] for row in rows]  # no poison
    datatype, shape = ("INT32", "<i4") if small else ("INT64", "<i8"), [len(rows), 4]
    content = np.array(rows, datatype[1]).tobytes()
    in_json = infer(server, asking(ids(rows, shape, datatype[0])))
    in_bytes = infer(
        server, asking(binary_ids(len(content), shape, datatype[0]), parameters={"binary_data_output": True}), content
    )
    assert (
        outputs(in_json) == outputs(in_bytes) == {"logits": ([len(rows), 3], list(chain.from_iterable(halves(rows))))}
    )


def test_labels_of_another_script(tmp_path):
    store = Store(tmp_path)
    publish(store, labels=("差", "一般", "很好"))
    with serving(store) as server:
        sent = asking(text(["今天天气很好"], [1]))
        in_json = outputs(infer(server, sent))
        in_bytes = outputs(infer(server, sent | {"parameters": {"binary_data_output": True}}))
        assert in_json == in_bytes
        assert in_json["label"] == ([1], ["很好"])
        classes = [{"name": "probabilities", "parameters": {"classification": 1, "binary_data": True}}]
        assert outputs(infer(server, sent | {"outputs": classes}))["probabilities"][1] == ["0.665241:2:很好"]


def test_a_long_body_is_read_aside(server):
    rows = [[2, 7, 3]] * 4000
    assert outputs(infer(server, asking(ids(rows, [4000, 3]))))["logits"] == ([4000, 3], [6.0, 7.0, 8.0] * 4000)


def test_replies_say_what_they_cost_and_metrics_count_them(server):
    answer = infer(server, asking(text(["w1 " * 50, "w1"], [2])))
    assert answer.headers["x-penjing-cut-texts"] == "1"
    assert answer.headers["x-penjing-tokens"] == "19"
    page = httpx.get(f"{server.url}/metrics").text
    assert 'penjing_requests_total{model="m",status="OK"}' in page
    infer(server, asking())
    assert 'penjing_requests_total{model="m",status="INVALID_ARGUMENT"}' in httpx.get(f"{server.url}/metrics").text


def test_a_timeout_in_the_request_is_a_deadline(tmp_path):
    store = Store(tmp_path)
    publish(store)
    engine = FakeEngine(instances=1)
    with serving(store, open_with=opens(engine)) as server:
        engine.gate.clear()
        running = infer(server, ONE | {"parameters": {"timeout": 200_000}})
        waiting = infer(server, ONE | {"parameters": {"timeout": 20_000}})  # the first still holds the engine
        engine.gate.set()
    assert (running.status, waiting.status) == (504, 503)
    assert waiting.json["error"].startswith("Request timeout expired:")


def test_not_ready_is_503(tmp_path):
    store = Store(tmp_path)
    publish(store)
    engine = FakeEngine()
    engine.gate.clear()  # warm-up does not end
    with serving(store, open_with=opens(engine), ready_within_s=None) as server:
        while not server.plane.models.names():
            pass
        for target in ("/v2/health/ready", "/v2/models/m/ready", "/v2/models/m"):
            assert send(server, Case("", "", "GET", target)).status == 503
        assert send(server, Case("", "", "GET", "/v2/models/m/ready")).json["ready"] is False
        assert send(server, Case("", "", "GET", "/v2/health/live")).status == 200
        assert infer(server, ONE).status == 503
        (one,) = send(server, Case("", "", "POST", "/v2/repository/index")).json
        assert one["state"] == "LOADING"
        assert send(server, Case("", "", "POST", "/v2/repository/index", {"ready": True})).json == []
        engine.gate.set()


def test_load_looks_at_the_store_at_once(tmp_path):
    store = Store(tmp_path)
    publish(store)
    with serving(store, poll_s=None) as server:
        publish(store)
        assert send(server, Case("", "", "POST", "/v2/repository/models/m/load")).status == 200
        assert infer(server, ONE).json["model_version"] == "2"
        publish(store, engine=b"broken")
        assert send(server, Case("", "", "POST", "/v2/repository/models/m/load")).status == 200  # 2 goes on answering
        (broken,) = (
            one
            for one in send(server, Case("", "", "POST", "/v2/repository/index")).json
            if one["state"] == "UNAVAILABLE" and one["version"] == "3"
        )
        assert "the file is broken" in broken["reason"]


def test_an_engine_that_fails_is_500(server):
    answer = infer(server, asking(ids([4], [1, 1])))
    assert answer.status == 500
    assert "poisoned" in answer.json["error"]


def test_a_fault_of_ours_says_nothing_of_itself(server, monkeypatch):
    monkeypatch.setattr(server.plane, "ask", None)
    assert infer(server, ONE).json == {"error": "internal error; see the server's log"}
