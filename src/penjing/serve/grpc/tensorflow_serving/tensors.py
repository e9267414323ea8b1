"""``TensorProto`` to arrays and back, as TensorFlow does it.

The values stand in ``tensor_content`` as raw bytes, or one by one in the field of their type; there the last
one stands for all that are missing, none at all for zeros, and what is too many is left out. Promise: an array
is never larger than the largest message could have sent whole, whatever shape is claimed.

Source: tensorflow/tensorflow, ``core/framework/tensor.cc`` (FromProto, FromProtoField, Helper::Decode) and
``core/platform/coding`` (DecodeStringList).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.core.errors import InvalidRequestError
from penjing.serve.api.tensorflow_serving.signatures import TensorSpec
from penjing.serve.grpc.messages import message

Tensor = npt.NDArray[Any]

_MAX_RANK = 8  # more has no meaning here, and the product of many sizes takes long to tell
_VARINT_BITS = 7
_FLOAT_VAL = b"\x2a"  # field 5 in one piece: as bytes it is filled a hundred times faster than number by number
_INTEGERS: dict[str, tuple[str, np.dtype[np.int64] | np.dtype[np.int32]]] = {
    "DT_INT64": ("int64_val", np.dtype("<i8")),
    "DT_INT32": ("int_val", np.dtype("<i4")),
}
_TYPES = {"int64": tuple(_INTEGERS), "string": ("DT_STRING",)}


def read_tensor(proto: Any, spec: TensorSpec, *, place: int, max_values: int) -> Tensor:
    """An input.

    Args:
        proto: a ``TensorProto``.
        spec: what the signature says of it. int32 is taken for int64 too.
        place: its place among the signature's inputs, for TensorFlow's words.
        max_values: the most that it may hold.

    Returns:
        int64, or object (of str), in its shape.

    Raises:
        InvalidRequestError: anything about it is wrong.
    """
    dtype = _dtype_name(proto.dtype)
    if dtype not in _TYPES[spec.dtype]:
        raise InvalidRequestError(
            f"Expects arg[{place}] to be {spec.dtype} but {dtype.removeprefix('DT_').lower()} is provided",
            expected=f"{' or '.join(_TYPES[spec.dtype])} for {spec.name}",
        )
    shape = _shape(proto.tensor_shape, spec.name, max_values=max_values)
    count = math.prod(shape)
    values = _texts(proto, count, spec.name) if dtype == "DT_STRING" else _integers(proto, dtype, count, spec.name)
    return values.reshape(shape)


def write_tensor(proto: Any, tensor: Tensor) -> None:
    """Fill in a ``TensorProto``.

    Args:
        proto: an empty one.
        tensor: float32, int64, or object (of str).
    """
    for size in tensor.shape:
        proto.tensor_shape.dim.add(size=size)
    if tensor.dtype == np.float32:
        proto.dtype = _dtype_number("DT_FLOAT")
        content = tensor.astype("<f4").tobytes()
        proto.MergeFromString(_FLOAT_VAL + _varint(len(content)) + content)
    elif tensor.dtype == np.int64:
        proto.dtype = _dtype_number("DT_INT64")
        proto.int64_val.extend(tensor.ravel().tolist())
    else:
        proto.dtype = _dtype_number("DT_STRING")
        proto.string_val.extend(text.encode("utf-8", "replace") for text in tensor.ravel().tolist())


def decode(raw: bytes, where: str) -> str:
    """A text that came as bytes.

    Raises:
        InvalidRequestError: it is not UTF-8.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{where} is not UTF-8 at byte {error.start}", expected="UTF-8 text") from error


def _shape(proto: Any, name: str, *, max_values: int) -> tuple[int, ...]:
    sizes = tuple(dim.size for dim in proto.dim[: _MAX_RANK + 1])
    if proto.unknown_rank or len(sizes) > _MAX_RANK or any(size < 0 for size in sizes):
        raise _unreadable(name, f"a known shape of at most {_MAX_RANK} sizes from 0")
    if math.prod(max(1, size) for size in sizes) > max_values:  # NumPy minds an empty one of huge sizes, too
        raise _unreadable(name, f"at most {max_values} values, not the product of {list(sizes)}")
    return sizes


def _integers(proto: Any, dtype: str, count: int, name: str) -> Tensor:
    field, kind = _INTEGERS[dtype]
    content = proto.tensor_content
    if content and count:
        if len(content) != count * kind.itemsize:
            raise _unreadable(
                name, f"{count * kind.itemsize} bytes of tensor_content for {count} values, not {len(content)}"
            )
        return np.frombuffer(content, kind).astype(np.int64)
    sent = getattr(proto, field)[:count]
    values = np.zeros(count, np.int64)
    if sent:
        values[: len(sent)] = sent
        values[len(sent) :] = sent[-1]
    return values


def _texts(proto: Any, count: int, name: str) -> Tensor:
    sent: Sequence[bytes] = proto.string_val[:count]
    if proto.tensor_content and count:
        sent = _string_list(proto.tensor_content, count, name)
    texts = [decode(raw, f"value {index} of {name}") for index, raw in enumerate(sent)]
    texts += [texts[-1] if texts else ""] * (count - len(texts))
    values = np.empty(count, object)
    values[:] = texts  # np.full would go by way of NumPy's own strings, which end before a NUL
    return values


def _string_list(content: bytes, count: int, name: str) -> list[bytes]:
    """Strings as TensorFlow writes them in a row: all lengths first, as varints."""
    wrong = _unreadable(name, f"{count} strings in tensor_content, all lengths first")
    if count > len(content):  # each has at least one byte of length
        raise wrong
    lengths, at = [], 0
    for _ in range(count):
        length = shift = 0
        while True:
            if at == len(content) or shift > 4 * _VARINT_BITS:
                raise wrong
            byte, at = content[at], at + 1
            length |= (byte & 0x7F) << shift
            shift += _VARINT_BITS
            if byte < 0x80:
                break
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise wrong
    ends = np.cumsum([at, *lengths]).tolist()
    return [content[begin:end] for begin, end in pairwise(ends)]


def _varint(number: int) -> bytes:
    written = b""
    while number >= 0x80:
        written, number = written + bytes([number & 0x7F | 0x80]), number >> _VARINT_BITS
    return written + bytes([number])


def _unreadable(name: str, expected: str) -> InvalidRequestError:
    return InvalidRequestError(f"tensor parsing error: {name}", expected=expected)


def _dtype_name(number: int) -> str:
    known = _dtypes().values_by_number.get(number)
    return known.name if known else f"type {number}"


def _dtype_number(name: str) -> int:
    return int(_dtypes().values_by_name[name].number)


def _dtypes() -> Any:
    return message("tensorflow.TensorProto").DESCRIPTOR.fields_by_name["dtype"].enum_type
