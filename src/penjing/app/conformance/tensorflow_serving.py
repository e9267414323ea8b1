"""TensorFlow Serving: its REST API as people's scripts ask it, and its gRPC through its own stubs.

Clauses: ``tensorflow/serving``, model_servers/http_rest_api_handler.cc and apis/prediction_service.proto.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from penjing.app.asking import exchange
from penjing.app.conformance.checks import Check, Client, Target, expect

_DEADLINE_S = 30.0


def _send(
    target: Target, path: str, body: bytes | None = None, *, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Status and JSON of a reply."""
    status, told = exchange(target.url, path, body, headers=headers or {}, timeout_s=_DEADLINE_S)
    return status, json.loads(told)


def _rest(target: Target) -> Iterator[Check]:
    base = f"/v1/models/{quote(target.model, safe='')}"
    row = {"input_ids": list(target.ids), "attention_mask": [1] * len(target.ids)}
    rows = json.dumps({"instances": [row, row]}).encode()

    def predicts(body: bytes, key: str, headers: Mapping[str, str] | None = None) -> None:
        status, told = _send(target, f"{base}:predict", body, headers=headers)
        expect(status == 200, f"{status}: {told}")
        expect(len(told[key]) == 2, f"{len(told[key])} answers to 2 rows")
        expect(told[key][0] == told[key][1], "equal rows have different answers")

    def refuses(path: str, body: bytes | None, status: int) -> None:
        came, told = _send(target, path, body)
        expect(came == status, f"{came}, not {status}: {told}")
        expect(list(told) == ["error"] and isinstance(told["error"], str), f"no error object: {told}")

    def tells(path: str, key: str) -> None:
        status, told = _send(target, path)
        expect(status == 200 and key in told, f"{status}: {told}")

    columns = json.dumps({"inputs": {name: [values, values] for name, values in row.items()}}).encode()
    yield "predict, row format", partial(predicts, rows, "predictions")
    yield "predict, columnar format", partial(predicts, columns, "outputs")
    yield "predict, gzip", partial(predicts, gzip.compress(rows), "predictions", {"Content-Encoding": "gzip"})
    yield "status of a model", partial(tells, base, "model_version_status")
    yield "metadata of a model", partial(tells, f"{base}/metadata", "metadata")
    yield "unknown model: 404 and an error", partial(refuses, "/v1/models/no-such-model:predict", rows, 404)
    yield "unknown version: 404 and an error", partial(refuses, f"{base}/versions/999999:predict", rows, 404)
    yield "no JSON: 400 and an error", partial(refuses, f"{base}:predict", b'{"instances": [', 400)
    yield "neither instances nor inputs: 400 and an error", partial(refuses, f"{base}:predict", b"{}", 400)


def _grpc(target: Target) -> Iterator[Check]:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    channel = grpc.insecure_channel(target.grpc)
    predictor = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def request(model: str) -> Any:
        made = predict_pb2.PredictRequest()
        made.model_spec.name = model
        made.inputs["input_ids"].CopyFrom(tf.make_tensor_proto([target.ids], dtype=tf.int64))
        made.inputs["attention_mask"].CopyFrom(tf.make_tensor_proto([[1] * len(target.ids)], dtype=tf.int64))
        return made

    def predict() -> None:
        outputs = predictor.Predict(request(target.model), timeout=_DEADLINE_S).outputs
        expect(all(tf.make_ndarray(tensor).shape[0] == 1 for tensor in outputs.values()), "no row for the row sent")

    def metadata() -> None:
        asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        asked.model_spec.name = target.model
        told = predictor.GetModelMetadata(asked, timeout=_DEADLINE_S)
        expect("signature_def" in told.metadata, "no signature_def")

    def status() -> None:
        asked = get_model_status_pb2.GetModelStatusRequest()
        asked.model_spec.name = target.model
        told = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(asked, timeout=_DEADLINE_S)
        expect(any(version.state == 30 for version in told.model_version_status), "no version is AVAILABLE")

    def unknown() -> None:
        try:
            predictor.Predict(request("no-such-model"), timeout=_DEADLINE_S)
        except grpc.RpcError as error:
            expect(error.code() == grpc.StatusCode.NOT_FOUND, f"{error.code()}")
        else:
            raise AssertionError("an answer")

    yield "Predict", predict
    yield "GetModelMetadata", metadata
    yield "GetModelStatus", status
    yield "unknown model: NOT_FOUND", unknown


REST = Client("tensorflow-serving-rest", None, (), _rest)
GRPC = Client(
    "tensorflow-serving-grpc",
    "tensorflow-serving-api",
    ("tensorflow_serving.apis", "tensorflow", "grpc"),
    _grpc,
    grpc=True,
)
