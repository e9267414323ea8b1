"""Input tensors: from the protocol's JSON or from the bytes behind it to arrays.

Both ways lead to the same arrays, and both check before they allocate: a tensor is never larger than
what was sent. JSON data may be nested as the shape says, or flat.

Source: Open Inference Protocol, "Tensor Data"; Triton's binary tensor data extension.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.core.errors import FieldError, UnsupportedError
from penjing.serve.api.documents import checked_text, field, optional, shown

Array = npt.NDArray[Any]
BYTES = "BYTES"
INTEGERS: dict[str, np.dtype[np.int64] | np.dtype[np.int32]] = {
    "INT64": np.dtype("<i8"),
    "INT32": np.dtype("<i4"),
}
_LENGTH_BYTES = 4
_SHARED = "shared_memory_region"
_SIZES = range(2**63)
_MAX_RANK = 8  # more has no meaning here, and the product of many sizes takes long to tell


class Tail:
    """The bytes behind a request's JSON; each tensor takes its share in order.

    Args:
        content: all of them.
    """

    def __init__(self, content: memoryview) -> None:
        self._content, self._at = content, 0

    def take(self, size: int, *, name: str, model: str) -> memoryview:
        """The next ``size`` bytes.

        Raises:
            FieldError: fewer are left.
        """
        end = self._at + size
        if end > len(self._content):
            raise FieldError(
                f"unexpected size for input '{name}', expecting {end - len(self._content)} additional bytes "
                f"for model '{model}'",
                field=name,
            )
        taken, self._at = self._content[self._at : end], end
        return taken

    @property
    def left(self) -> int:
        """Bytes that nobody has taken."""
        return len(self._content) - self._at


def read_tensor(sent: Mapping[str, Any], tail: Tail, *, datatypes: Sequence[str], model: str) -> Array:
    """One input.

    Args:
        sent: its member of ``inputs``, whose name is known to be right.
        tail: where binary data comes from.
        datatypes: those it may have.
        model: for messages, as Triton words them.

    Returns:
        int64, or object (str): the values in order, in one dimension.

    Raises:
        FieldError: anything about it is wrong.
        UnsupportedError: it lies in shared memory.
    """
    name, datatype, shape = field(sent, "name", str), field(sent, "datatype", str), _shape(sent)
    if datatype not in datatypes:
        raise FieldError(
            f"unexpected datatype {datatype[:40]} for inference input '{name}' of model '{model}'",
            field=name,
            expected=" or ".join(datatypes),
        )
    size = _binary_size(sent, name=name)
    if size is None:
        return _from_json(sent["data"], datatype, shape, name=name)
    return from_bytes(tail.take(size, name=name, model=model), datatype, shape, name=name)


def _shape(sent: Mapping[str, Any]) -> tuple[int, ...]:
    shape = field(sent, "shape", list)
    if len(shape) > _MAX_RANK or not all(type(size) is int and size in _SIZES for size in shape):
        raise FieldError(
            f"shape is {shown(shape)}", field="shape", expected=f"at most {_MAX_RANK} whole numbers from 0"
        )
    return tuple(shape)


def _binary_size(sent: Mapping[str, Any], *, name: str) -> int | None:
    """How many bytes hold the tensor; None if it is in JSON."""
    parameters = optional(sent, "parameters", dict, where=name) or {}
    if _SHARED in parameters:
        raise UnsupportedError(f"input '{name}' lies in shared memory", do="Send its data in the request.")
    size = optional(parameters, "binary_data_size", int, where=f"{name}.parameters")
    if ("data" in sent) == (size is not None):
        said = "both are" if size is not None else "neither is"
        raise FieldError(
            f"input '{name}' must set one of 'data' and the parameter 'binary_data_size', but {said} set", field=name
        )
    if size is not None and size < 0:
        raise FieldError(f"binary_data_size of input '{name}' is {size}", field=name, expected="a size in bytes")
    return size


def _from_json(data: Any, datatype: str, shape: tuple[int, ...], *, name: str) -> Array:
    values = _flat(data, shape, name=name)
    if len(values) != math.prod(shape):
        raise FieldError(
            f"input '{name}' has {len(values)} values, but shape {list(shape)}",
            field=name,
            expected=f"{math.prod(shape)} values",
        )
    kind = str if datatype == BYTES else int
    if not set(map(type, values)) <= {kind}:
        odd = next(index for index, value in enumerate(values) if type(value) is not kind)
        raise FieldError(
            f"value {odd} of input '{name}' is {shown(values[odd])}",
            field=name,
            expected="strings" if datatype == BYTES else "whole numbers",
        )
    return _texts(values, name=name) if datatype == BYTES else _integers(values, datatype, name=name)


def _flat(data: Any, shape: tuple[int, ...], *, name: str) -> list[Any]:
    """The values in order, from a flat list or from one nested exactly as the shape says."""
    if not isinstance(data, list):
        raise FieldError(f"data of input '{name}' is {shown(data)}", field=name, expected="a list")
    if not (data and isinstance(data[0], list)):
        return data
    is_regular = len(shape) == 2 and len(data) == shape[0]
    if not is_regular or not all(isinstance(row, list) and len(row) == shape[1] for row in data):
        raise FieldError(
            f"data of input '{name}' is not nested as shape {list(shape)}",
            field=name,
            expected="lists as long as the shape says, or one flat list",
        )
    return list(chain.from_iterable(data))


def _texts(values: list[str], *, name: str) -> Array:
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        for index, value in enumerate(values):  # the long way finds out which it was
            checked_text(value, where=f"value {index} of input '{name}'")
    return np.array(values, object)


def _integers(values: list[int], datatype: str, *, name: str) -> Array:
    limits = np.iinfo(INTEGERS[datatype])
    if values and not (limits.min <= min(values) and max(values) <= limits.max):
        odd = next(value for value in values if not limits.min <= value <= limits.max)
        raise FieldError(f"input '{name}' holds {shown(odd)}", field=name, expected=f"numbers that fit {datatype}")
    return np.array(values, np.int64)


def from_bytes(raw: memoryview, datatype: str, shape: tuple[int, ...], *, name: str) -> Array:
    """The values of an input from its bytes, in one dimension.

    Raises:
        FieldError: they are more or fewer than the shape says, or no text.
    """
    count = math.prod(shape)
    if datatype == BYTES:
        return np.array(unpack_bytes(raw, count, name=name), object)
    expected = count * INTEGERS[datatype].itemsize
    if len(raw) != expected:
        raise FieldError(f"unexpected total byte size {len(raw)} for input '{name}', expecting {expected}", field=name)
    return np.frombuffer(raw, INTEGERS[datatype]).astype(np.int64)


def unpack_bytes(raw: memoryview, count: int, *, name: str) -> list[str]:
    """The texts of a BYTES tensor: each behind its length, a little-endian uint32.

    Raises:
        FieldError: a text is cut off, bytes are left over, or a text is not UTF-8.
    """
    texts, at = [], 0
    for index in range(count if count * _LENGTH_BYTES <= len(raw) else 0):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(raw[at:begin], "little")
        if at > len(raw):
            break
        try:
            texts.append(str(raw[begin:at], "utf-8"))
        except UnicodeDecodeError as error:
            raise FieldError(
                f"value {index} of input '{name}' is not UTF-8 at byte {error.start}", field=name, expected="UTF-8 text"
            ) from error
    if len(texts) != count or at != len(raw):
        raise FieldError(
            f"the {len(raw)} bytes of input '{name}' are not {count} texts, each behind its length", field=name
        )
    return texts


def pack_bytes(texts: Sequence[str]) -> bytes:
    """What :func:`unpack_bytes` reads."""
    encoded = [text.encode("utf-8", "replace") for text in texts]
    return b"".join(len(one).to_bytes(_LENGTH_BYTES, "little") + one for one in encoded)
