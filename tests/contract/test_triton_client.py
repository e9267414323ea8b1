"""The Open Inference dialect through Triton's own HTTP client, with its defaults: binary in, binary out."""

from __future__ import annotations

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from contract.cases import served


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store")) as server:
        made = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
        yield made
        made.close()


def sent(name, values, datatype, *, binary_data=True):
    made = triton.InferInput(name, list(values.shape), datatype)
    return made.set_data_from_numpy(values, binary_data=binary_data)


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
    assert client.get_server_metadata()["name"] == "penjing"
    assert client.get_model_metadata("m")["versions"] == ["1", "2"]
    assert client.get_model_config("m")["name"] == "m"


def test_ids_as_they_come(client):
    result = client.infer("m", [sent("input_ids", ids([2, 7, 3]), "INT64")])
    assert result.as_numpy("logits").tolist() == [[6.0, 7.0, 8.0]]
    assert result.as_numpy("logits").dtype == np.float32
    assert result.get_response()["model_version"] == "2"


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_a_mask_and_a_version(client, binary_in, binary_out):
    rows = sent("input_ids", ids([2, 7, 3], [2, 3, 0], dtype=np.int32), "INT32", binary_data=binary_in)
    mask = sent("attention_mask", ids([1, 1, 1], [1, 1, 0]), "INT64", binary_data=binary_in)
    wanted = [triton.InferRequestedOutput("logits", binary_data=binary_out)]
    result = client.infer("m", [rows, mask], model_version="1", request_id="a", outputs=wanted)
    assert result.as_numpy("logits").tolist() == [[6.0, 7.0, 8.0], [2.5, 3.5, 4.5]]
    assert (result.get_response()["id"], result.get_response()["model_version"]) == ("a", "1")


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_texts(client, binary_in, compression):
    result = client.infer(
        "m",
        [sent("text", texts("w1 w2", "今天天气很好"), "BYTES", binary_data=binary_in)],
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    assert result.as_numpy("label").tolist() == [b"good", b"good"]
    assert result.as_numpy("score") == pytest.approx([0.665241, 0.665241])
    assert result.as_numpy("probabilities").shape == (2, 3)


def test_classes(client):
    wanted = [triton.InferRequestedOutput("logits", class_count=2)]
    result = client.infer("m", [sent("input_ids", ids([2, 7, 3]), "INT64")], outputs=wanted)
    assert result.as_numpy("logits").tolist() == [[b"8.000000:2:good", b"7.000000:1:fair"]]


@pytest.mark.parametrize("outputs", [None, "logits"])
def test_an_empty_batch(client, outputs):
    wanted = [triton.InferRequestedOutput(outputs)] if outputs else None
    result = client.infer("m", [sent("input_ids", np.zeros((0, 3), np.int64), "INT64")], outputs=wanted)
    assert result.as_numpy("logits").shape == (0, 3)


def test_several_at_once(client):
    waiting = [client.async_infer("m", [sent("input_ids", ids([2, first, 3]), "INT64")]) for first in range(6, 12)]
    assert [one.get_result().as_numpy("logits")[0, 0] for one in waiting] == [(5 + first) / 2 for first in range(6, 12)]


def test_parameters(client):
    result = client.infer(
        "m", [sent("input_ids", ids([2, 7, 3]), "INT64")], timeout=9_000_000, priority=2, sequence_id=7,
        parameters={"mine": "yes"},
    )  # fmt: skip
    assert result.as_numpy("logits")[0, 0] == 6.0


def test_statistics_and_repository(client):
    (one,) = client.get_inference_statistics("m", "2")["model_stats"]
    assert one["inference_stats"]["success"]["count"] > 0
    assert [entry["state"] for entry in client.get_model_repository_index()] == ["READY", "READY"]
    client.load_model("m")
    with pytest.raises(InferenceServerException, match="follows the store"):
        client.unload_model("m")


def test_errors_reach_the_caller(client):
    rows = sent("input_ids", ids([2, 7, 3]), "INT64")
    with pytest.raises(InferenceServerException, match="Request for unknown model: 'x' is not found") as caught:
        client.infer("x", [rows])
    assert caught.value.status() == "404"
    with pytest.raises(InferenceServerException, match="unexpected datatype FP32"):
        client.infer("m", [sent("input_ids", np.ones((1, 2), np.float32), "FP32")])
    with pytest.raises(InferenceServerException, match="Penjing has not"):
        client.get_system_shared_memory_status()
