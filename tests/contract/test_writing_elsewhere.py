"""The same models in the other dialects: predict and infer with plain texts, generate and its stream."""

from __future__ import annotations

import json

import httpx
import pytest

from contract.writers import make_writers
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store

RECIPE = ServeRecipe(port=0, instances=2, poll_s=None, max_new_tokens=12)
TEXTS = ["hello", "你好 the weather"]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    store = make_writers(tmp_path_factory.mktemp("writers"), "llama")
    with (
        running_server(StoreCatalogue(Store(store)), RECIPE) as server,
        httpx.Client(base_url=server.url, timeout=60) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def expected(client):
    body = {"model": "llama", "prompt": TEXTS, "temperature": 0, "max_tokens": 12}
    found = [choice["text"] for choice in client.post("/v1/completions", json=body).json()["choices"]]
    assert len(set(found)) == 2
    return found


@pytest.mark.parametrize("address", ["/v1/models/llama:predict", "/kserve/v1/models/llama:predict"])
def test_predict_gives_a_text_for_a_text(client, expected, address):
    assert client.post(address, json={"instances": TEXTS}).json() == {"predictions": expected}
    assert client.post(address, json={"instances": [{"text": TEXTS[0]}]}).json() == {"predictions": expected[:1]}
    assert client.post(address, json={"instances": [{"input_ids": [1, 2]}]}).status_code == 400


def test_metadata_says_so(client):
    told = client.get("/v1/models/llama/metadata").json()["metadata"]["signature_def"]["signature_def"]
    assert set(told) == {"serving_default", "text"}
    assert list(told["serving_default"]["outputs"]) == ["generated_text"]
    told = client.get("/v2/models/llama").json()
    assert [one["name"] for one in told["inputs"]] == ["text"]
    assert [one["name"] for one in told["outputs"]] == ["text_output"]
    assert told["platform"] == "penjing_ctranslate2"


def test_infer_gives_a_text_for_a_text(client, expected):
    text = {"name": "text", "datatype": "BYTES", "shape": [2], "data": TEXTS}
    (output,) = client.post("/v2/models/llama/infer", json={"inputs": [text]}).json()["outputs"]
    assert (output["name"], output["datatype"], output["data"]) == ("text_output", "BYTES", expected)
    ids = {"name": "input_ids", "datatype": "INT64", "shape": [1, 2], "data": [3, 4]}
    assert client.post("/v2/models/llama/infer", json={"inputs": [ids]}).status_code == 501
    odd = {"inputs": [text], "outputs": [{"name": "text_output", "parameters": {"classification": 2}}]}
    assert client.post("/v2/models/llama/infer", json=odd).status_code == 400


def asked(text=TEXTS[0], **parameters):
    return {"id": "7", "text_input": text, "parameters": {"temperature": 0, "max_tokens": 12} | parameters}


def test_generate_is_the_same_text_with_details_where_wanted(client, expected):
    told = client.post("/v2/models/llama/versions/1/generate", json=asked(details=True)).json()
    details = told.pop("details")
    assert told == {"text_output": expected[0], "model_name": "llama", "model_version": "1", "id": "7"}
    assert details["finish_reason"] == "length"
    assert "".join(one["text"] for one in details["logprobs"]) == expected[0]
    stop = expected[0][3:5]
    told = client.post("/v2/models/llama/generate", json=asked(details=True, stop=[stop])).json()
    assert told["text_output"] == expected[0][: expected[0].index(stop)]
    assert told["details"]["finish_reason"] == "stop_sequence"


def test_generate_stream_is_the_same_bit_by_bit(client, expected):
    with client.stream("POST", "/v2/models/llama/generate_stream", json=asked(TEXTS[1], details=True)) as reply:
        assert reply.headers["content-type"] == "text/event-stream"
        events = [json.loads(line.removeprefix("data: ")) for line in reply.iter_lines() if line]
    assert "".join(event["text_output"] for event in events) == expected[1]
    assert events[-1]["details"]["finish_reason"] == "length"
    assert {event["model_name"] for event in events} == {"llama"}


BAD = [
    ({}, 400),
    ({"text_input": 3}, 400),
    ({"text_input": "x", "parameters": {"temperature": -1}}, 400),
    ({"text_input": "x" * 300}, 400),
    ({"text_input": "x", "parameters": {"frequency_penalty": 1}}, 501),
]


@pytest.mark.parametrize("call", ["generate", "generate_stream"])
@pytest.mark.parametrize(("body", "status"), BAD, ids=[str(one[0])[:40] for one in BAD])
def test_what_cannot_be_answered_is_told_in_the_dialects_form(client, call, body, status):
    reply = client.post(f"/v2/models/llama/{call}", json=body)
    assert reply.status_code == status, reply.text
    assert list(reply.json()) == ["error"]
    assert client.post(f"/v2/models/absent/{call}", json=body).status_code == 404


def test_requests_are_counted(client):
    page = client.get("/metrics").text
    assert 'penjing_requests_total{model="llama",status="OK"}' in page
    assert 'penjing_queue_tokens{model="llama",version="1"} 0.0' in page
    (stats,) = client.get("/v2/models/llama/stats").json()["model_stats"]
    assert stats["inference_count"] > 0
