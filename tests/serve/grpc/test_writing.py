"""Models that write, over gRPC: a text for a text, the same as over HTTP, in both protocols."""

from __future__ import annotations

import httpx
import pytest

import penjing
from app.parallel_world import make_checkpoint
from contract.grpc_client import INFER, OIP, PREDICT, TFS, array_of, connected, example, infer, predict, tensor
from contract.writers import make_writers
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.serve.grpc.messages import message
from penjing.store import Store

RECIPE = ServeRecipe(port=0, grpc_port=0, instances=1, poll_s=None, max_new_tokens=12)
TEXTS = {"llama": ["hello", "你好 the weather"], "zh": ["one two", "seven"]}
OUTPUTS = {"llama": ("generated_text", "text_output"), "zh": ("translation_text", "translation_text")}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writers")
    store = make_writers(folder, "llama")
    penjing.export(str(make_checkpoint(folder / "zh")), name="zh", store=store)
    with running_server(StoreCatalogue(Store(store)), RECIPE) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with connected(server) as client:
        yield client


@pytest.fixture(params=TEXTS)
def model(request):
    return request.param


@pytest.fixture
def expected(server, model):
    reply = httpx.post(f"{server.url}/v1/models/{model}:predict", json={"instances": TEXTS[model]}, timeout=60)
    return reply.json()["predictions"]


@pytest.mark.parametrize("signature", ["", "serving_default", "text"])
def test_predict_gives_a_text_for_a_text(client, model, expected, signature):
    texts = tensor(TEXTS[model], "string")
    reply = client.call(PREDICT, predict(model=model, name=signature, inputs={"text": texts}))
    assert {name: array_of(told) for name, told in reply.outputs.items()} == {OUTPUTS[model][0]: expected}
    assert (reply.model_spec.name, reply.model_spec.version.value) == (model, 1)


def test_costs_are_told(client, model):
    call = client.future(PREDICT, predict(model=model, inputs={"text": tensor(TEXTS[model], "string")}))
    told = dict(call.trailing_metadata())
    assert int(told["x-penjing-tokens"]) > 0
    assert {"x-penjing-queue-ms", "x-penjing-run-ms"} <= set(told)


@pytest.mark.parametrize("raw", [False, True])
def test_infer_gives_a_text_for_a_text(client, model, expected, raw):
    reply = client.call(INFER, infer({"text": ("BYTES", TEXTS[model])}, model=model, raw=raw, id="7"))
    (output,) = reply.outputs
    assert (reply.id, output.name, output.datatype, list(output.shape)) == ("7", OUTPUTS[model][1], "BYTES", [2])
    packed = b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in expected)
    assert reply.raw_output_contents == [packed]


def test_metadata_says_so(client, model):
    told = client.call(f"{OIP}/ModelMetadata", message("inference.ModelMetadataRequest")(name=model))
    assert [(one.name, one.datatype) for one in told.inputs] == [("text", "BYTES")]
    assert [(one.name, one.datatype) for one in told.outputs] == [(OUTPUTS[model][1], "BYTES")]


def test_token_ids_are_refused_by_name(client, model):
    ids = predict(model=model, inputs={"input_ids": tensor([[2, 7, 3]])})
    assert client.refused(PREDICT, ids).code == "INVALID_ARGUMENT"
    refused = client.refused(INFER, infer({"input_ids": ("INT64", [[7]])}, model=model))
    assert refused.code in ("UNIMPLEMENTED", "INVALID_ARGUMENT")
    assert "input_ids" in refused.details or "text" in refused.details


@pytest.mark.parametrize("method", ["Classification", "Regression"])
def test_what_is_no_text_is_not_asked_for(client, model, method):
    request = message(f"{TFS}.{method}Request")()
    request.model_spec.name = model
    request.input.example_list.examples.append(example(text=["one"]))
    call = {"Classification": "Classify", "Regression": "Regress"}[method]
    assert client.refused(f"{TFS}.PredictionService/{call}", request).code == "INVALID_ARGUMENT"
