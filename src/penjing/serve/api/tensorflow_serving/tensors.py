"""JSON values to arrays, with TensorFlow Serving's rules of shape and type and its words for faults.

Source: ``util/json_tensor.cc`` (GetDenseTensorShape, FillTensorProto, AddValueToTensor).
"""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.core.errors import InvalidRequestError
from penjing.serve.api.tensorflow_serving.parsing import shown
from penjing.serve.api.tensorflow_serving.signatures import TensorSpec

Tensor = npt.NDArray[Any]
_B64 = "b64"
_INT64 = range(-(2**63), 2**63)


def is_b64(value: Any) -> bool:
    """Whether a value is ``{"b64": "…"}``: exactly that key, and a string."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(_B64), str)


def dense(value: Any, spec: TensorSpec) -> Tensor:
    """A JSON scalar or nested list as an array of the type that ``spec`` asks for.

    Returns:
        int64, or object (of str).

    Raises:
        InvalidRequestError: ragged, or of the wrong type.
    """
    if spec.dtype == "int64" and isinstance(value, list) and set(map(type, value)) == {int}:
        with suppress(OverflowError):  # the long way finds out which number it was
            return np.array(value, np.int64)
    shape = _shape(value)
    flat: list[Any] = []
    _fill(value, spec, level=0, shape=shape, flat=flat)
    array = np.array(flat, object if spec.dtype == "string" else np.int64)
    return array if len(shape) == 1 else array.reshape(shape)


def _shape(value: Any) -> tuple[int, ...]:
    """Sizes along the first elements, as TensorFlow Serving guesses a shape."""
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(sizes)


def _fill(value: Any, spec: TensorSpec, *, level: int, shape: tuple[int, ...], flat: list[Any]) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise InvalidRequestError(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {rank}"
            )
        flat.append(_scalar(value, spec))
        return
    if level >= rank:
        raise InvalidRequestError(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise InvalidRequestError(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    if level == rank - 1 and spec.dtype == "int64" and _all_int64(value):
        flat.extend(value)
        return
    for item in value:
        _fill(item, spec, level=level + 1, shape=shape, flat=flat)


def _all_int64(values: list[Any]) -> bool:
    return set(map(type, values)) == {int} and min(values) in _INT64 and max(values) in _INT64


def _scalar(value: Any, spec: TensorSpec) -> Any:
    if spec.dtype == "int64":
        if type(value) is int and value in _INT64:  # a bool is an int in Python, not in JSON
            return value
        raise _type_error(value, spec)
    if isinstance(value, dict):
        return _decoded(value)
    if not isinstance(value, str):
        raise _type_error(value, spec)
    return utf8(value)


def utf8(text: str) -> str:
    """The text, unless it is half of a surrogate pair, which no tokenizer could read.

    Raises:
        InvalidRequestError: it is.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError("JSON Parse error: The surrogate pair in string is invalid.") from error
    return text


def _decoded(value: dict[str, Any]) -> str:
    if not is_b64(value):
        raise InvalidRequestError(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    packed = "".join(value[_B64].split()).rstrip("=.")
    try:
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError("Unable to base64 decode") from error
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"base64 data is not UTF-8 at byte {error.start}", expected="UTF-8 text") from error


def _type_error(value: Any, spec: TensorSpec) -> InvalidRequestError:
    return InvalidRequestError(
        f"JSON Value: {shown(value)} Type: {json_type(value)} is not of expected type: {spec.dtype}"
    )


def json_type(value: Any) -> str:
    """RapidJSON's name for the type of a value."""
    if value is None or isinstance(value, bool):
        return "Null" if value is None else str(value)
    names: dict[type, str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")
