"""One question, two transports: gRPC gives the numbers, labels, versions and refusals that REST gives."""

from __future__ import annotations

import http.client
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contract.cases import served
from contract.grpc_client import INFER, PREDICT, array_of, connected, infer, predict, refusal, tensor
from penjing.serve.api.open_inference.tensors import unpack_bytes
from penjing.serve.api.statuses import STATUSES
from penjing.serve.grpc.errors import STATUS
from serve.doubles import WORDS

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HTTP_OF = {
    "INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "UNIMPLEMENTED": 501, "INTERNAL": 500, "FAILED_PRECONDITION": 400,
}  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store"), grpc_port=0) as server, connected(server) as client:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)

        def rest(path, document):
            connection.request("POST", path, json.dumps(document).encode())
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())

        yield client, rest
        connection.close()


@st.composite
def token_ids(draw):
    """A batch of rows of one length; some with a mask, some with what no server would take."""
    rows, width = draw(st.integers(1, 4)), draw(st.integers(1, 18))
    one_id = st.integers(6, 99) | st.sampled_from([100, -1, 2**63 - 1])
    grid = draw(st.lists(st.lists(one_id, min_size=width, max_size=width), min_size=rows, max_size=rows))
    inputs = {"input_ids": grid}
    if draw(st.booleans()):
        lengths = draw(st.lists(st.integers(0, width), min_size=rows, max_size=rows))
        inputs["attention_mask"] = [[1] * length + [0] * (width - length) for length in lengths]
    if draw(st.booleans()):
        inputs["token_type_ids"] = [[draw(st.integers(0, 2))] * width] * rows
    return inputs


plain_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(WORDS[6:])
texts = st.lists(plain_texts, min_size=1, max_size=4)


@given(inputs=token_ids(), kind=st.booleans())
@QUICK
def test_predict_by_token_ids(both, inputs, kind):
    client, rest = both
    call = client.future(PREDICT, predict(inputs={name: tensor(grid, content=kind) for name, grid in inputs.items()}))
    status, answer = rest("/v1/models/m:predict", {"inputs": inputs})
    compare(call, status, answer, lambda response: {"outputs": array_of(response.outputs["logits"])})


@given(texts=texts, paired=st.booleans())
@example(texts=["今天", "a\n\x00b", ""], paired=True)
@QUICK
def test_predict_by_text(both, texts, paired):
    client, rest = both
    inputs = {"text": texts} | ({"text_pair": texts[::-1]} if paired else {})
    call = client.future(PREDICT, predict(inputs={name: tensor(own, "string") for name, own in inputs.items()}))
    status, answer = rest("/v1/models/m:predict", {"inputs": inputs})
    compare(
        call, status, answer,
        lambda response: {"outputs": {name: array_of(one) for name, one in response.outputs.items()}},
    )  # fmt: skip


@given(inputs=token_ids() | texts.map(lambda own: {"text": own}), is_raw=st.booleans())
@QUICK
def test_infer(both, inputs, is_raw):
    client, rest = both
    typed = {name: ("BYTES" if name == "text" else "INT64", values) for name, values in inputs.items()}
    call = client.future(INFER, infer(typed, raw=is_raw))
    tensors = [
        {"name": name, "datatype": datatype, "shape": list(np.array(values).shape), "data": values}
        for name, (datatype, values) in typed.items()
    ]
    status, answer = rest("/v2/models/m/infer", {"inputs": tensors})
    compare(call, status, answer, told_by_infer)


def told_by_infer(response):
    outputs = []
    for one, content in zip(response.outputs, response.raw_output_contents, strict=True):
        if one.datatype == "BYTES":
            data = unpack_bytes(memoryview(content), one.shape[0], name=one.name)
        else:
            data = np.frombuffer(content, "<f4").tolist()
        outputs.append({"name": one.name, "datatype": one.datatype, "shape": list(one.shape), "data": data})
    return {"model_name": response.model_name, "model_version": response.model_version, "outputs": outputs}


def compare(call, status, answer, told):
    if status == 200:
        assert rounded(told(call.result())) == rounded(answer)
    else:
        refused = refusal(call)
        assert (HTTP_OF[refused.code], refused.details) == (status, answer["error"])


def rounded(value):
    """Numbers as float32: JSON has them in decimals."""
    if isinstance(value, float):
        return float(np.float32(value))
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return {key: rounded(one) for key, one in value.items()} if isinstance(value, dict) else value


def test_every_error_has_a_status_code_of_grpcs():
    from grpc import StatusCode

    assert set(STATUS.values()) <= {code.name for code in StatusCode}
    assert STATUSES["gRPC"](KeyError("a fault of ours")) == "INTERNAL"
