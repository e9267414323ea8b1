"""TensorFlow Serving's calls on examples: classify, regress, and several signatures at once."""

from __future__ import annotations

import numpy as np
import pytest

from contract.cases import EVEN, served
from contract.grpc_client import TFS, connected, example, spec
from penjing.serve.grpc.messages import message
from penjing.store.store import Store
from serve.doubles import publish, serving

SERVICE = f"{TFS}.PredictionService"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store"), grpc_port=0) as server, connected(server) as client:
        yield client


def on(method, *examples, context=None, **named):
    request = message(f"{TFS}.{ {'Classify': 'Classification', 'Regress': 'Regression'}[method] }Request")()
    if context is not None:
        request.input.example_list_with_context.examples.extend(examples)
        request.input.example_list_with_context.context.CopyFrom(context)
    elif examples:
        request.input.example_list.examples.extend(examples)
    return spec(request, **named)


@pytest.mark.parametrize("name", ["", "serving_default", "classify"])
def test_classify(client, name):
    request = on("Classify", example(text=["w1"]), example(text=["w2"], other=[1.5]), name=name)
    response = client.call(f"{SERVICE}/Classify", request)
    for answered in response.result.classifications:
        assert [one.label for one in answered.classes] == list(EVEN)
        np.testing.assert_allclose([one.score for one in answered.classes], list(EVEN.values()), atol=1e-6)
    assert len(response.result.classifications) == 2
    assert (response.model_spec.version.value, response.model_spec.signature_name) == (2, "classify")


def test_classify_with_a_context_and_with_ids(client):
    context = example(text_pair=["w9"])
    client.call(f"{SERVICE}/Classify", on("Classify", example(text=["w1"]), context=context))
    by_ids = example(input_ids=[2, 7, 3, 0], attention_mask=[1, 1, 1, 0])
    assert len(client.call(f"{SERVICE}/Classify", on("Classify", by_ids)).result.classifications) == 1


@pytest.mark.parametrize(
    ("method", "request_", "code", "part"),
    [
        ("Classify", on("Classify"), "INVALID_ARGUMENT", "Input is empty."),
        ("Classify", on("Classify", model="x"), "NOT_FOUND", "Servable not found for request: Latest(x)"),
        ("Classify", on("Classify", name="s"), "INVALID_ARGUMENT", "No signature was found with the name: s"),
        (
            "Classify",
            on("Classify", example(x=[1])),
            "INVALID_ARGUMENT",
            "Feature: text (data type: string) is required",
        ),
        ("Classify", on("Classify", example(text=[1])), "INVALID_ARGUMENT", "Feature: text holds 1 of type int64"),
        (
            "Classify",
            on("Classify", example(text=["a", "b"])),
            "INVALID_ARGUMENT",
            "Feature: text holds 2 of type bytes",
        ),
        (
            "Classify",
            on("Classify", example(text=[b"\xff"])),
            "INVALID_ARGUMENT",
            "Feature: text is not UTF-8 at byte 0",
        ),
        (
            "Classify",
            on("Classify", example(text=["a"]), example(input_ids=[1])),
            "INVALID_ARGUMENT",
            "examples mix kinds",
        ),
        (
            "Regress",
            on("Regress", example(text=["a"])),
            "INVALID_ARGUMENT",
            (
                "Expected regression signature method_name to be tensorflow/serving/regress. "
                "Was: tensorflow/serving/predict"
            ),
        ),
    ],
)
def test_faults_of_examples(client, method, request_, code, part):
    refused = client.refused(f"{SERVICE}/{method}", request_)
    assert (refused.code, part in refused.details) == (code, True), refused


def test_regress(tmp_path):
    """A model with one output has values instead of classes."""
    store = Store(tmp_path)
    publish(store, labels=("value",))
    regress = "tensorflow/serving/regress"
    with serving(store, grpc_port=0) as server, connected(server) as client:
        request = on("Regress", example(input_ids=[2, 7, 3]), example(input_ids=[7]))
        response = client.call(f"{SERVICE}/Regress", request)
        assert [one.value for one in response.result.regressions] == [6.0, 3.5]
        assert response.model_spec.signature_name == "regress"
        (several,) = client.call(f"{SERVICE}/MultiInference", multi((regress, {}), text="w1")).results
        assert [one.value for one in several.regression_result.regressions] == [6.0]
        refused = client.refused(f"{SERVICE}/Classify", on("Classify", example(text=["w1"])))
        assert (refused.code, "to be tensorflow/serving/classify" in refused.details) == ("INVALID_ARGUMENT", True)


def multi(*tasks, text="w1"):
    request = message(f"{TFS}.MultiInferenceRequest")()
    for method, named in tasks:
        spec(request.tasks.add(method_name=method), **named)
    request.input.example_list.examples.append(example(text=[text]))
    return request


CLASSIFY = "tensorflow/serving/classify"


def test_multi_inference(client):
    response = client.call(f"{SERVICE}/MultiInference", multi((CLASSIFY, {"name": "classify", "version": 1})))
    (result,) = response.results
    assert [one.label for one in result.classification_result.classifications[0].classes] == list(EVEN)
    assert (result.model_spec.version.value, result.model_spec.signature_name) == (1, "classify")
    assert not client.call(f"{SERVICE}/MultiInference", multi()).results


@pytest.mark.parametrize(
    ("tasks", "code", "part"),
    [
        ([(CLASSIFY, {"model": ""})], "INVALID_ARGUMENT", "Found ModelSpec with an empty model name."),
        (
            [(CLASSIFY, {}), (CLASSIFY, {"model": "n"})],
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        ([(CLASSIFY, {}), (CLASSIFY, {})], "INVALID_ARGUMENT", "Duplicate evaluation of signature: serving_default"),
        ([(CLASSIFY, {"name": "s"})], "INVALID_ARGUMENT", "Requested signature not found in model graph: s"),
        ([("x", {})], "UNIMPLEMENTED", "Unsupported signature method_name: x"),
    ],
)
def test_faults_of_multi_inference(client, tasks, code, part):
    refused = client.refused(f"{SERVICE}/MultiInference", multi(*tasks))
    assert (refused.code, refused.details) == (code, part)
