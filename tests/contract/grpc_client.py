"""A gRPC client on our own descriptors, for what no client library sends; and the messages of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from penjing.serve.grpc.messages import class_of, message, service

TFS, OIP = "tensorflow.serving", "inference.GRPCInferenceService"
PREDICT = f"{TFS}.PredictionService/Predict"
INFER = f"{OIP}/ModelInfer"
DT = {"int64": 9, "int32": 3, "string": 7, "float": 1}
OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own
]


@dataclass(frozen=True)
class Refusal:
    """What an error says."""

    code: str
    details: str
    trailing: dict[str, str]


class Client:
    """Calls by name."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address, options=OPTIONS)

    def future(self, method: str, request: Any, **told: Any) -> Any:
        """A call under way; ``request`` may be bytes as they are."""
        raw = request if isinstance(request, bytes) else request.SerializeToString()
        name, _, function = method.partition("/")
        response = class_of(service(name).methods_by_name[function].output_type)
        caller = self.channel.unary_unary(f"/{method}", response_deserializer=response.FromString)
        return caller.future(raw, **{"timeout": 20} | told)

    def call(self, method: str, request: Any, **told: Any) -> Any:
        return self.future(method, request, **told).result()

    def refused(self, method: str, request: Any, **told: Any) -> Refusal:
        return refusal(self.future(method, request, **told))


def refusal(call: Any) -> Refusal:
    """How a call ended that was to end with an error."""
    code = call.code()
    assert code is not grpc.StatusCode.OK, call.result()
    trailing = dict(call.trailing_metadata() or ())
    return Refusal(code.name, call.details(), trailing)


@contextmanager
def connected(server: Any) -> Iterator[Client]:
    client = Client(server.grpc_address)
    try:
        yield client
    finally:
        client.channel.close()


def tensor(values: Any, kind: str = "int64", *, content: bool = False, shape: Any = None) -> Any:
    """A ``TensorProto``; the type's own field holds the values, or ``tensor_content``."""
    made = message("tensorflow.TensorProto")(dtype=DT[kind])
    array = np.array(values, {"int64": "<i8", "int32": "<i4", "string": object, "float": "<f4"}[kind])
    for size in array.shape if shape is None else shape:
        made.tensor_shape.dim.add(size=size)
    flat = array.ravel().tolist()
    if kind == "string":
        raw = [one if isinstance(one, bytes) else one.encode() for one in flat]
        if content:
            made.tensor_content = b"".join(map(varint, map(len, raw))) + b"".join(raw)
        else:
            made.string_val.extend(raw)
    elif content:
        made.tensor_content = array.tobytes()
    else:
        field = {"int64": "int64_val", "int32": "int_val", "float": "float_val"}[kind]
        getattr(made, field).extend(flat)
    return made


def varint(number: int) -> bytes:
    out = b""
    while number >= 0x80:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def spec(
    request: Any, model: str = "m", *, version: int | None = None, label: str | None = None, name: str = ""
) -> Any:
    """Fill in the request's model_spec."""
    request.model_spec.name = model
    request.model_spec.signature_name = name
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    return request


def predict(*, only: tuple[str, ...] = (), inputs: dict[str, Any] | None = None, **named: Any) -> Any:
    """A ``PredictRequest``."""
    request = message(f"{TFS}.PredictRequest")(output_filter=only)
    for name, one in (inputs or {}).items():
        request.inputs[name].CopyFrom(one)
    return spec(request, **named)


def example(**features: Any) -> Any:
    """A ``tensorflow.Example``; lists of str, int or float."""
    made = message("tensorflow.Example")()
    for name, values in features.items():
        feature = made.features.feature[name]
        if isinstance(values[0], str | bytes):
            feature.bytes_list.value.extend(one if isinstance(one, bytes) else one.encode() for one in values)
        elif isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        else:
            feature.float_list.value.extend(values)
    return made


def array_of(proto: Any) -> Any:
    """Values and shape of an answered ``TensorProto``, nested."""
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.dtype == DT["string"]:
        return np.array([one.decode() for one in proto.string_val], object).reshape(shape).tolist()
    is_whole = proto.dtype == DT["int64"]
    values = list(proto.int64_val if is_whole else proto.float_val)
    return np.array(values, np.int64 if is_whole else np.float32).reshape(shape).tolist()


def infer(inputs: dict[str, Any], *, raw: bool = False, model: str = "m", **fields: Any) -> Any:
    """A ``ModelInferRequest``: name → (datatype, array), in the field of the type or raw."""
    request = message("inference.ModelInferRequest")(model_name=model, **fields)
    for name, (datatype, values) in inputs.items():
        array = np.array(values, object if datatype == "BYTES" else {"INT64": "<i8", "INT32": "<i4"}[datatype])
        one = request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        flat = array.ravel().tolist()
        encoded = [text if isinstance(text, bytes) else text.encode() for text in flat] if datatype == "BYTES" else []
        if raw:
            packed = b"".join(len(text).to_bytes(4, "little") + text for text in encoded)
            request.raw_input_contents.append(packed if datatype == "BYTES" else array.tobytes())
        elif datatype == "BYTES":
            one.contents.bytes_contents.extend(encoded)
        else:
            getattr(one.contents, {"INT64": "int64_contents", "INT32": "int_contents"}[datatype]).extend(flat)
    return request
