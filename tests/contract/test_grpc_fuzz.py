"""Whatever bytes are sent to whichever method: one reply each, and never a fault of the server's own."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.grpc_client import INFER, PREDICT, TFS, connected, example, infer, predict, spec, tensor
from contract.inprocess import Harmless
from penjing.serve.grpc.messages import message, pool
from penjing.store.store import Store
from serve.doubles import opens, publish, serving

FINE = {
    "OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED", "UNAVAILABLE", "DEADLINE_EXCEEDED",
}  # fmt: skip
SERVICES = (
    f"{TFS}.PredictionService",
    f"{TFS}.ModelService",
    "inference.GRPCInferenceService",
    "grpc.health.v1.Health",
)
METHODS = [
    f"{name}/{method.name}"
    for name in SERVICES
    for method in pool().FindServiceByName(name).methods
    if not method.server_streaming
]
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def classify():
    request = message(f"{TFS}.ClassificationRequest")()
    request.input.example_list.examples.append(example(text=["w1"]))
    return spec(request)


SENT = [
    (PREDICT, predict(inputs={"input_ids": tensor([[2, 7, 3]], content=True), "attention_mask": tensor([[1] * 3])})),
    (PREDICT, predict(inputs={"text": tensor(["w1", "w2"], "string", content=True)}, only=("label",))),
    (f"{TFS}.PredictionService/Classify", classify()),
    (INFER, infer({"input_ids": ("INT64", [[2, 7, 3]])}, raw=True)),
    (INFER, infer({"text": ("BYTES", ["w1"])})),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    publish(store)
    with serving(store, open_with=opens(Harmless(instances=1)), grpc_port=0) as server, connected(server) as client:
        yield client


@given(method=st.sampled_from(METHODS), sent=st.binary(max_size=40))
@QUICK
def test_any_bytes_to_any_method(client, method, sent):
    assert client.future(method, sent).code().name in FINE


@given(data=st.data(), known=st.sampled_from(SENT))
@settings(QUICK, max_examples=300)
def test_any_broken_byte(client, data, known):
    method, raw = known[0], known[1].SerializeToString()
    at = data.draw(st.integers(0, len(raw)))
    broken = raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + data.draw(st.integers(0, 3)) :]
    assert client.future(method, broken).code().name in FINE


sizes = st.lists(st.integers(0, 4) | st.sampled_from([-1, 2**31, 2**62]), max_size=4)


@given(
    shape=sizes,
    dtype=st.integers(0, 30),
    values=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=6),
    strings=st.lists(st.binary(max_size=4), max_size=4),
    content=st.binary(max_size=32),
    name=st.sampled_from(["input_ids", "text", "attention_mask"]),
)
@settings(QUICK, max_examples=200)
def test_any_tensor(client, **drawn):
    proto = message("tensorflow.TensorProto")(
        dtype=drawn["dtype"],
        int64_val=drawn["values"],
        int_val=[one % 100 for one in drawn["values"]],
        string_val=drawn["strings"],
        tensor_content=drawn["content"],
    )
    for size in drawn["shape"]:
        proto.tensor_shape.dim.add(size=size)
    assert client.future(PREDICT, predict(inputs={drawn["name"]: proto})).code().name in FINE
