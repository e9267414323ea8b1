"""The Open Inference Protocol over gRPC: through Triton's own client with its defaults, and without it."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import aio
from tritonclient.utils import InferenceServerException

from contract.cases import EVEN, served
from contract.grpc_client import INFER, OIP, connected, infer
from penjing.serve.grpc.messages import message


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store"), grpc_port=0) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    made = triton.InferenceServerClient(server.grpc_address)
    yield made
    made.close()


@pytest.fixture(scope="module")
def raw(server):
    with connected(server) as client:
        yield client


def sent(name, values, datatype):
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made


def ids(*rows, dtype=np.int64):
    return np.array(rows, dtype)


def texts(*values):
    return np.array(values, object)


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("m")
    assert client.is_model_ready("m", "1")
    assert not client.is_model_ready("m", "9")
    assert not client.is_model_ready("x")
    assert client.get_server_metadata().name == "penjing"
    assert list(client.get_model_metadata("m").versions) == ["1", "2"]
    assert client.get_model_metadata("m", as_json=True)["outputs"][3] == {
        "name": "logits", "datatype": "FP32", "shape": ["-1", "3"],
    }  # fmt: skip
    config = client.get_model_config("m").config
    assert (config.name, config.input[0].name, config.input[0].optional) == ("m", "text", True)
    assert list(config.output[3].dims) == [-1, 3]


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
@pytest.mark.parametrize("version", ["", "1", "stable"])
def test_ids(client, dtype, version):
    name = {np.int64: "INT64", np.int32: "INT32"}[dtype]
    rows = sent("input_ids", ids([2, 7, 3], [2, 3, 0], dtype=dtype), name)
    mask = sent("attention_mask", ids([1, 1, 1], [1, 1, 0]), "INT64")
    result = client.infer("m", [rows, mask], model_version=version, request_id="a")
    assert result.as_numpy("logits").tolist() == [[6.0, 7.0, 8.0], [2.5, 3.5, 4.5]]
    assert result.as_numpy("logits").dtype == np.float32
    assert (result.get_response().id, result.get_response().model_version) == ("a", "1" if version else "2")


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_texts(client, compression, shape):
    inputs = [sent("text", texts("w1 w2", "今天天气很好").reshape(shape), "BYTES")]
    result = client.infer("m", inputs, compression_algorithm=compression)
    assert result.as_numpy("label").tolist() == [b"good", b"good"]
    assert result.as_numpy("score") == pytest.approx([EVEN["good"]] * 2)
    assert result.as_numpy("probabilities").shape == (2, 3)
    assert result.as_numpy("logits").shape == (2, 3)


def test_a_pair_and_wanted_outputs(client):
    inputs = [sent(name, texts("w1"), "BYTES") for name in ("text", "text_pair")]
    wanted = [triton.InferRequestedOutput("label"), triton.InferRequestedOutput("logits", class_count=2)]
    result = client.infer("m", inputs, outputs=wanted)
    assert result.as_numpy("label").tolist() == [b"good"]
    assert result.as_numpy("logits").tolist() == [[b"13.000000:2:good", b"12.000000:1:fair"]]
    assert result.as_numpy("score") is None


def test_an_empty_batch(client):
    result = client.infer("m", [sent("input_ids", np.zeros((0, 3), np.int64), "INT64")])
    assert result.as_numpy("logits").shape == (0, 3)


def test_parameters(client):
    rows = [sent("input_ids", ids([2, 7, 3]), "INT64")]
    result = client.infer("m", rows, timeout=9_000_000, priority=2, sequence_id=7, parameters={"mine": "yes"})
    assert result.as_numpy("logits")[0, 0] == 6.0
    with pytest.raises(InferenceServerException, match="DEADLINE_EXCEEDED"):
        client.infer("m", rows, timeout=1)


def test_several_at_once(client):
    done, results = threading.Event(), {}

    def told(first, result, error):
        results[first] = error or result.as_numpy("logits")[0, 0]
        if len(results) == 12:
            done.set()

    for first in range(6, 18):
        rows = [sent("input_ids", ids([2, first, 3]), "INT64")]
        client.async_infer("m", rows, callback=lambda result, error, first=first: told(first, result, error))
    assert done.wait(20)
    assert results == {first: (5 + first) / 2 for first in range(6, 18)}


def test_the_asynchronous_client(server):
    async def ask():
        async with aio.InferenceServerClient(server.grpc_address) as client:
            rows = [aio.InferInput("input_ids", [1, 3], "INT64")]
            rows[0].set_data_from_numpy(ids([2, 7, 3]))
            answers = await asyncio.gather(*(client.infer("m", rows) for _ in range(20)))
            return [answer.as_numpy("logits")[0, 0] for answer in answers]

    assert asyncio.run(ask()) == [6.0] * 20


def test_statistics_and_repository(client):
    (one,) = client.get_inference_statistics("m", "2").model_stats
    assert one.inference_stats.success.count > 0
    assert len(client.get_inference_statistics().model_stats) == 2
    assert [entry.state for entry in client.get_model_repository_index().models] == ["READY", "READY"]
    client.load_model("m")
    with pytest.raises(InferenceServerException, match=r"UNIMPLEMENTED\] failed to unload 'm'.*follows the store"):
        client.unload_model("m")
    with pytest.raises(InferenceServerException, match=r"NOT_FOUND\] Request for unknown model: 'x' is not found"):
        client.unload_model("x")
    with pytest.raises(InferenceServerException, match=r"UNIMPLEMENTED\] failed to load 'm': a load takes no"):
        client.load_model("m", config="{}")


def test_calls_that_penjing_has_not(client):
    with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
        client.get_system_shared_memory_status()


def test_errors_reach_the_caller(client):
    rows = sent("input_ids", ids([2, 7, 3]), "INT64")
    with pytest.raises(InferenceServerException, match="Request for unknown model: 'x' is not found") as caught:
        client.infer("x", [rows])
    assert caught.value.status() == "StatusCode.NOT_FOUND"
    with pytest.raises(InferenceServerException, match="unexpected datatype FP32"):
        client.infer("m", [sent("input_ids", np.full((1, 2), np.nan, np.float32), "FP32")])
    rows.set_shared_memory("region", 24)
    with pytest.raises(InferenceServerException, match=r"UNIMPLEMENTED\] input 'input_ids' lies in shared memory"):
        client.infer("m", [rows])


# Without the client ------------------------------------------------------------------------------------------------

IDS = {"input_ids": ("INT64", [[2, 7, 3]]), "attention_mask": ("INT32", [[1, 1, 1]])}
TEXT = {"text": ("BYTES", ["w1"])}


@pytest.mark.parametrize("is_raw", [True, False])
@pytest.mark.parametrize("inputs", [IDS, TEXT])
def test_values_in_fields_or_raw(raw, inputs, is_raw):
    response = raw.call(INFER, infer(inputs, raw=is_raw))
    assert [one.name for one in response.outputs][-1] == "logits"
    assert len(response.raw_output_contents) == len(response.outputs)
    assert np.frombuffer(response.raw_output_contents[-1], "<f4")[1] == 7.0


def bad(change, *, inputs=IDS, raw=False):
    request = infer(inputs, raw=raw)
    change(request)
    return request


def bare(field):
    return lambda request: request.inputs[0].ClearField(field)


FAULTS = [
    (b"\xff", "the message cannot be read as inference.ModelInferRequest"),
    (bad(bare("contents")), "unexpected number of values 0 for input 'input_ids' for model 'm', expecting 3"),
    (bad(bare("shape")), "unexpected number of values 3 for input 'input_ids' for model 'm', expecting 1"),
    (bad(lambda one: one.inputs[0].shape.append(2**62)), "expecting "),
    (bad(lambda one: one.inputs[0].shape.append(-1)), "expected at most 8 whole numbers from 0"),
    (bad(lambda one: one.inputs[0].shape.extend([1] * 9)), "expected at most 8 whole numbers from 0"),
    (bad(lambda one: setattr(one.inputs[0], "datatype", "FP32")), "unexpected datatype FP32 for inference input"),
    (bad(lambda one: setattr(one.inputs[0], "name", "x")), "unexpected inference input 'x' for model 'm'"),
    (bad(lambda one: one.inputs.add().CopyFrom(one.inputs[0])), "input 'input_ids' comes twice"),
    (bad(lambda one: one.inputs.pop(0)), "inputs for model 'm' are attention_mask"),
    (bad(lambda one: one.raw_input_contents.pop(), raw=True), "expected 2 entries in raw_input_contents for model 'm'"),
    (
        bad(lambda one: one.inputs[0].contents.int64_contents.append(1), raw=True),
        "contents field must not be specified when using raw_input_contents for 'input_ids'",
    ),
    (
        bad(lambda one: one.raw_input_contents.__setitem__(0, b"abc"), raw=True),
        "unexpected total byte size 3 for input 'input_ids', expecting 24",
    ),
    (
        bad(lambda one: one.raw_input_contents.__setitem__(0, b"\x09\0\0\0a"), inputs=TEXT, raw=True),
        "the 5 bytes of input 'text' are not 1 texts, each behind its length",
    ),
    (infer({"text": ("BYTES", [b"a\xff"])}), "value 0 of input 'text' is not UTF-8 at byte 1"),
    (infer({"text": ("BYTES", [b"a\xff"])}, raw=True), "value 0 of input 'text' is not UTF-8 at byte 1"),
    (bad(lambda one: one.outputs.add(name="x")), "unexpected inference output 'x' for model 'm'"),
    (bad(lambda one: [one.outputs.add(name="logits") for _ in range(2)]), "output 'logits' is wanted twice"),
    (
        bad(lambda one: one.outputs.add(name="logits").parameters["classification"].SetInParent()),
        "parameter 'classification' of output logits is None; expected int.",
    ),
    (
        bad(lambda one: setattr(one.outputs.add(name="logits").parameters["classification"], "int64_param", -1)),
        "classification of output 'logits' is -1",
    ),
    (
        bad(lambda one: setattr(one.parameters["triton_x"], "bool_param", True)),
        "parameter keys starting with 'triton_' are reserved",
    ),
    (
        bad(lambda one: setattr(one.parameters["timeout"], "string_param", "x")),
        "parameter 'timeout' of parameters is 'x'",
    ),
    (infer(IDS, model_version="9" * 30), "failed to get model version from specified version string"),
    (infer({"input_ids": ("INT64", [[100]])}), "token id 100; expected ids from 0 to 99"),
]


@pytest.mark.parametrize(("request_", "part"), FAULTS, ids=[part[:60] for _, part in FAULTS])
def test_faults(raw, request_, part):
    refused = raw.refused(INFER, request_)
    assert (refused.code, part in refused.details) == ("INVALID_ARGUMENT", True), refused


@pytest.mark.parametrize("call", ["ModelMetadata", "ModelConfig", "ModelStatistics"])
def test_unknown_models_and_versions(raw, call):
    for named in ({"name": "x"}, {"name": "m", "version": "7"}, {"name": "m", "version": "none"}):
        refused = raw.refused(f"{OIP}/{call}", message(f"inference.{call}Request")(**named))
        assert (refused.code, "is not found" in refused.details) == ("NOT_FOUND", True)
