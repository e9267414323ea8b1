"""TensorFlow Serving's PredictionService: every form of tensor, every signature, its own words for faults."""

from __future__ import annotations

import numpy as np
import pytest

from contract.cases import EVEN, served
from contract.grpc_client import PREDICT, TFS, array_of, connected, predict, spec, tensor
from penjing.serve.grpc.messages import message

SERVICE = f"{TFS}.PredictionService"
IDS = [[2, 7, 3], [2, 3, 0]]
MASK = [[1, 1, 1], [1, 1, 0]]
LOGITS = [[6.0, 7.0, 8.0], [2.5, 3.5, 4.5]]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store"), grpc_port=0) as server, connected(server) as client:
        yield client


def ids(*, content=False, kind="int64"):
    return {
        "input_ids": tensor(IDS, kind, content=content),
        "attention_mask": tensor(MASK, kind, content=content),
        "token_type_ids": tensor(np.zeros_like(IDS), kind, content=content),
    }


@pytest.mark.parametrize("kind", ["int64", "int32"])
@pytest.mark.parametrize("content", [True, False])
def test_token_ids(client, content, kind):
    response = client.call(PREDICT, predict(inputs=ids(content=content, kind=kind)))
    assert set(response.outputs) == {"logits"}
    assert response.outputs["logits"].dtype == 1
    assert array_of(response.outputs["logits"]) == LOGITS
    assert response.model_spec == spec(message(f"{TFS}.PredictRequest")(), version=2, name="serving_default").model_spec


@pytest.mark.parametrize(
    ("inputs", "logits"),
    [
        ({"input_ids": tensor([7], shape=[2, 2])}, [[7.0, 8.0, 9.0]] * 2),
        ({"input_ids": tensor([2, 7, 3], shape=[2, 2])}, [[4.5, 5.5, 6.5], [3.0, 4.0, 5.0]]),
        ({"input_ids": tensor([], shape=[1, 2])}, [[0.0, 1.0, 2.0]]),
        ({"input_ids": tensor([2, 7, 3, 9], shape=[1, 2])}, [[4.5, 5.5, 6.5]]),
        ({"input_ids": tensor(IDS), "attention_mask": tensor([1], shape=[2, 3])}, [LOGITS[0], [2.5, 3.5, 4.5]]),
        ({"input_ids": tensor(IDS, shape=[1, 2, 3])}, [[LOGITS[0], [2.5, 3.5, 4.5]]]),
        ({"input_ids": tensor([], shape=[0, 3])}, []),
    ],
    ids=[
        "one for all",
        "the last for the rest",
        "none is zeros",
        "too many",
        "a mask of ones",
        "a row a batch",
        "empty",
    ],
)
def test_shapes_that_are_half_filled(client, inputs, logits):
    """The last value stands for all that are missing, as in TensorFlow."""
    assert array_of(client.call(PREDICT, predict(inputs=inputs)).outputs["logits"]) == logits


@pytest.mark.parametrize("name", ["", "text"])
@pytest.mark.parametrize("content", [True, False])
def test_text(client, content, name):
    texts = tensor(["w1 w2", "今天天气很好", "w3" + " w4" * 60], "string", content=content)
    outputs = client.call(PREDICT, predict(inputs={"text": texts}, name=name)).outputs
    assert array_of(outputs["label"]) == ["good"] * 3
    np.testing.assert_allclose(array_of(outputs["score"]), [EVEN["good"]] * 3, atol=1e-6)
    np.testing.assert_allclose(array_of(outputs["probabilities"]), [list(EVEN.values())] * 3, atol=1e-6)


@pytest.mark.parametrize("shape", [[], [2, 1]])
def test_text_in_other_shapes(client, shape):
    inputs = {"text": tensor(["w1"], "string", shape=shape), "text_pair": tensor(["w2"], "string", shape=shape)}
    outputs = client.call(PREDICT, predict(inputs=inputs)).outputs
    assert [dim.size for dim in outputs["label"].tensor_shape.dim] == shape
    assert [dim.size for dim in outputs["probabilities"].tensor_shape.dim] == [*shape, 3]


@pytest.mark.parametrize(
    ("chosen", "answered"), [({}, 2), ({"version": 1}, 1), ({"version": 2}, 2), ({"label": "stable"}, 1)]
)
def test_versions_and_labels(client, chosen, answered):
    response = client.call(PREDICT, predict(inputs=ids(), **chosen))
    assert response.model_spec.version.value == answered
    assert response.model_spec.WhichOneof("version_choice") == "version"


def test_only_the_wanted_outputs(client):
    texts = {"text": tensor(["w1"], "string")}
    for only in (("label",), ("score", "label")):
        assert set(client.call(PREDICT, predict(inputs=texts, only=only)).outputs) == set(only)


def test_fields_that_our_subset_has_not_are_ignored(client):
    sent = predict(inputs=ids()).SerializeToString() + b"\x32\x03abc"  # client_id = 6
    assert array_of(client.call(PREDICT, sent).outputs["logits"]) == LOGITS


TEXT = {"text": tensor(["w1"], "string")}
UNREADABLE = "tensor parsing error: input_ids; expected "
FAULTS = [
    (b"\xff\xff", "INVALID_ARGUMENT", "the message cannot be read as tensorflow.serving.PredictRequest"),
    (message(f"{TFS}.PredictRequest")(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    (predict(model=""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    (predict(model="x"), "NOT_FOUND", "Servable not found for request: Latest(x)"),
    (predict(version=50), "NOT_FOUND", "Servable not found for request: Specific(m, 50)"),
    (predict(version=-1), "NOT_FOUND", "Servable not found for request: Specific(m, -1)"),
    (predict(label="none"), "INVALID_ARGUMENT", "Unrecognized servable version label: none"),
    (predict(label=""), "INVALID_ARGUMENT", "Unrecognized servable version label: "),
    (predict(name="s"), "FAILED_PRECONDITION", 'Serving signature key "s" not found.'),
    (
        predict(name="classify"),
        "INVALID_ARGUMENT",
        "Expected prediction signature method_name to be tensorflow/serving/predict. Was: tensorflow/serving/classify",
    ),
    (
        predict(inputs={"x": tensor([[1]])}),
        "INVALID_ARGUMENT",
        (
            "input size does not match signature: 1!=3 len({x}) != len({attention_mask,input_ids,token_type_ids}). "
            "Sent extra: {x}. Missing but required: {input_ids}."
        ),
    ),
    (predict(), "INVALID_ARGUMENT", "Sent extra: {}. Missing but required: {input_ids}."),
    (
        predict(inputs=ids(), only=("a",)),
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: a Outputs expected to be in the set {logits}.",
    ),
    (predict(inputs=ids(), only=("logits", "logits")), "INVALID_ARGUMENT", "duplicate output tensor alias: logits"),
    (
        predict(inputs={"input_ids": tensor([[float("nan")]], "float")}),
        "INVALID_ARGUMENT",
        "Expects arg[1] to be int64 but float is provided; expected DT_INT64 or DT_INT32 for input_ids.",
    ),
    (predict(inputs={"text": tensor([1])}), "INVALID_ARGUMENT", "Expects arg[0] to be string but int64 is provided"),
    (
        predict(inputs={"input_ids": tensor([[1, 2]], content=True, shape=[1, 3])}),
        "INVALID_ARGUMENT",
        f"{UNREADABLE}24 bytes of tensor_content for 3 values, not 16.",
    ),
    (predict(inputs={"input_ids": tensor([1], shape=[-1, 1])}), "INVALID_ARGUMENT", f"{UNREADABLE}a known shape"),
    (predict(inputs={"input_ids": tensor([1], shape=[1] * 9)}), "INVALID_ARGUMENT", f"{UNREADABLE}a known shape"),
    (predict(inputs={"input_ids": tensor([1], shape=[2**62, 4])}), "INVALID_ARGUMENT", f"{UNREADABLE}at most 1048576"),
    (predict(inputs={"input_ids": tensor([], shape=[0, 2**62])}), "INVALID_ARGUMENT", f"{UNREADABLE}at most 1048576"),
    (predict(inputs={"text": tensor(["w"], "string", shape=[2**40])}), "INVALID_ARGUMENT", "at most 1048576 values"),
    (predict(inputs={"input_ids": tensor([1, 2])}), "INVALID_ARGUMENT", "Tensor input_ids has shape [2]"),
    (
        predict(inputs={"input_ids": tensor(IDS), "attention_mask": tensor([[1]])}),
        "INVALID_ARGUMENT",
        "Tensor attention_mask has shape [1, 1], but input_ids has [2, 3]",
    ),
    (
        predict(inputs={"input_ids": tensor(IDS), "attention_mask": tensor([[1, 0, 1], [1, 1, 1]])}),
        "INVALID_ARGUMENT",
        "attention_mask of input 0 is not one run of ones",
    ),
    (predict(inputs={"input_ids": tensor([[100]])}), "INVALID_ARGUMENT", "token id 100; expected ids from 0 to 99."),
    (predict(inputs={"input_ids": tensor([[1] * 17])}), "INVALID_ARGUMENT", "input 0 has 17 tokens"),
    (
        predict(inputs={"text": tensor(["w1", b"a\xffb"], "string")}),
        "INVALID_ARGUMENT",
        "value 1 of text is not UTF-8 at byte 1; expected UTF-8 text.",
    ),
    (
        predict(inputs={"text": tensor(["w1", "w2"], "string", content=True, shape=[3])}),
        "INVALID_ARGUMENT",
        "tensor parsing error: text; expected 3 strings in tensor_content, all lengths first.",
    ),
    (predict(inputs={"text": tensor(["poison"], "string")}), "INTERNAL", "the engine failed on this request"),
]


@pytest.mark.parametrize(("request_", "code", "part"), FAULTS, ids=[f"{code} {part[:50]}" for _, code, part in FAULTS])
def test_faults(client, request_, code, part):
    refused = client.refused(PREDICT, request_)
    assert (refused.code, part in refused.details) == (code, True), refused


def test_a_name_of_any_length_fits_into_the_error(client):
    refused = client.refused(PREDICT, predict(model="模" * 100_000))
    assert refused.code == "NOT_FOUND"
    assert refused.details.startswith("Servable not found for request: Latest(模模")
    assert refused.details.endswith(" …")
