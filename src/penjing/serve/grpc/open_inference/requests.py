"""The inputs and wishes of a ``ModelInferRequest``.

A tensor's values stand in ``contents``, in the field of its type, or in ``raw_input_contents`` as bytes: then
all of them do, in the order of the inputs.

Source: Open Inference Protocol, "GRPC"; triton-inference-server/server, ``src/grpc/infer_handler.cc``
(InferGRPCToInput).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penjing.core.errors import FieldError, UnsupportedError
from penjing.serve.answers import Inputs
from penjing.serve.api.open_inference.requests import (
    Datatypes,
    InferRequest,
    WantedOutput,
    check_reserved,
    gather,
    own_name,
)
from penjing.serve.api.open_inference.tensors import BYTES, Array, from_bytes
from penjing.serve.api.sequences import Layout, Shape

_FIELDS = {"BYTES": "bytes_contents", "INT64": "int64_contents", "INT32": "int_contents"}
_SHARED = "shared_memory_region"
_MAX_RANK = 8


def read_request(sent: Any, datatypes: Datatypes) -> InferRequest:
    """Read a ``ModelInferRequest``.

    Args:
        sent: the message.
        datatypes: of the model, from :func:`penjing.serve.api.open_inference.requests.datatypes_of`.

    Raises:
        InvalidRequestError: anything about it is wrong.
        UnsupportedError: it wants something of Triton's that Penjing has not.
    """
    check_reserved(sent.parameters)
    inputs, is_text, layout = _read_inputs(sent, datatypes)
    timeout_us = parameter(sent.parameters, "timeout", int, where="parameters") or 0
    return InferRequest(
        inputs,
        is_text=is_text,
        layout=layout,
        id=sent.id,
        outputs=tuple(_read_output(one) for one in sent.outputs),
        is_binary=True,
        timeout_s=timeout_us / 1e6 if timeout_us > 0 else None,
    )


def parameter(parameters: Mapping[str, Any], name: str, kind: type[int] | type[bool], *, where: str) -> Any:
    """The value of an ``InferParameter``; None if it did not come.

    Raises:
        FieldError: it is of another type.
    """
    if name not in parameters:
        return None
    chosen = parameters[name].WhichOneof("parameter_choice")
    value = getattr(parameters[name], chosen) if chosen else None
    if type(value) is not kind:
        raise FieldError(f"parameter '{name}' of {where} is {value!r:.40}", field=where, expected=kind.__name__)
    return value


def _read_inputs(sent: Any, datatypes: Datatypes) -> tuple[Inputs, bool, Layout]:
    model, raws = sent.model_name, sent.raw_input_contents
    if raws and len(raws) != len(sent.inputs):
        raise FieldError(
            f"expected {len(sent.inputs)} entries in raw_input_contents for model '{model}', got {len(raws)}",
            field="raw_input_contents",
        )
    tensors: dict[str, Array] = {}
    shapes: dict[str, Shape] = {}
    for index, one in enumerate(sent.inputs):
        name = own_name(one.name, tensors, datatypes=datatypes, model=model)
        shapes[name] = _shape(one, datatypes[name], model=model)
        raw = raws[index] if raws else None
        tensors[name] = _values(one, shapes[name], raw, model=model)
    return gather(tensors, shapes, datatypes=datatypes, model=model)


def _shape(sent: Any, datatypes: Sequence[str], *, model: str) -> Shape:
    if _SHARED in sent.parameters:
        raise UnsupportedError(f"input '{sent.name}' lies in shared memory", do="Send its data in the request.")
    if sent.datatype not in datatypes:
        raise FieldError(
            f"unexpected datatype {sent.datatype[:40]} for inference input '{sent.name}' of model '{model}'",
            field=sent.name,
            expected=" or ".join(datatypes),
        )
    shape = tuple(sent.shape[: _MAX_RANK + 1])
    if len(shape) > _MAX_RANK or any(size < 0 for size in shape):
        raise FieldError(f"shape is {list(shape)}", field="shape", expected=f"at most {_MAX_RANK} whole numbers from 0")
    return shape


def _values(sent: Any, shape: Shape, raw: bytes | None, *, model: str) -> Array:
    if raw is not None:
        if sent.HasField("contents"):
            raise FieldError(
                f"contents field must not be specified when using raw_input_contents for '{sent.name}' "
                f"for model '{model}'",
                field=sent.name,
            )
        return from_bytes(memoryview(raw), sent.datatype, shape, name=sent.name)
    values = getattr(sent.contents, _FIELDS[sent.datatype])
    if len(values) != math.prod(shape):
        raise FieldError(
            f"unexpected number of values {len(values)} for input '{sent.name}' for model '{model}', "
            f"expecting {math.prod(shape)}",
            field=sent.name,
            expected=f"them in {_FIELDS[sent.datatype]}",
        )
    if sent.datatype != BYTES:
        return np.array(values, np.int64)
    return np.array([_text(value, index, sent.name) for index, value in enumerate(values)], object)


def _text(value: bytes, index: int, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise FieldError(
            f"value {index} of input '{name}' is not UTF-8 at byte {error.start}", field=name, expected="UTF-8 text"
        ) from error


def _read_output(sent: Any) -> WantedOutput:
    if _SHARED in sent.parameters:
        raise UnsupportedError(f"output '{sent.name}' is to lie in shared memory", do="Take it from the reply.")
    classes = parameter(sent.parameters, "classification", int, where=f"output {sent.name}") or 0
    if classes < 0:
        raise FieldError(
            f"classification of output '{sent.name}' is {classes}", field=sent.name, expected="how many classes"
        )
    return WantedOutput(sent.name, classes=classes)
