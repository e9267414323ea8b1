"""How each dialect tells an error, side by side: what the reference prints and the tests go through."""

from __future__ import annotations

from collections.abc import Callable

from penjing.serve.api.faults import code_of
from penjing.serve.api.kserve import errors as kserve
from penjing.serve.api.open_inference import errors as open_inference
from penjing.serve.api.openai import errors as openai
from penjing.serve.api.tei import errors as tei
from penjing.serve.api.tensorflow_serving import errors as tensorflow_serving
from penjing.serve.grpc import errors as grpc

STATUSES: dict[str, Callable[[Exception], int | str]] = {
    "canonical code": code_of,
    "gRPC": grpc.status_of,
    "TensorFlow Serving": lambda error: tensorflow_serving.status_of(error)[0],
    "Open Inference": open_inference.status_of,
    "TEI": tei.status_of,
    "KServe V1": kserve.status_of,
    "OpenAI": openai.status_of,
}
