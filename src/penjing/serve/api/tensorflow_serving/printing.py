"""Tensors to JSON, digit for digit as TensorFlow Serving prints them.

A float has six digits if these read back as the same number, otherwise enough to do so; it always
has a ``.`` or an ``e``; non-finite numbers stand bare. Row form keeps each row on one line.

Source: ``util/json_tensor.cc`` (WriteDecimal, MakeRowFormatJsonFromTensors,
MakeColumnarFormatJsonFromTensors) and RapidJSON's PrettyWriter.
"""

from __future__ import annotations

import base64
import json
import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Tensor = npt.NDArray[Any]
_INDENT = "    "
_BYTES_SUFFIX = "_bytes"
_JSON_ALREADY = ("labels",)  # a tensor of strings that are JSON lists; here they stand as lists


def decimals(values: npt.NDArray[np.float32]) -> list[str]:
    """Each number of a float32 array as JSON."""
    flat = values.ravel().tolist()
    short = [f"{value:.6g}" for value in flat]
    back = array("f", map(float, short))  # faster than NumPy for the few numbers of a reply
    return [
        _pointed(text if again == value else f"{value:.9g}")
        for text, again, value in zip(short, back, flat, strict=True)
    ]


def decimal(value: float) -> str:
    """One double as JSON."""
    if not math.isfinite(value):
        return _pointed(str(value))
    short = f"{value:.6g}"
    return _pointed(short if float(short) == value else f"{value:.17g}")


def _pointed(text: str) -> str:
    if "." in text or "e" in text:
        return text
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, f"{text}.0")


def tokens_of(name: str, tensor: Tensor) -> list[str]:
    """Each element of a tensor as JSON; strings whose tensor's name ends in ``_bytes`` as base64."""
    if tensor.dtype == np.float32:
        return decimals(tensor)
    if name in _JSON_ALREADY:
        return [str(text) for text in tensor.ravel().tolist()]
    if name.endswith(_BYTES_SUFFIX):
        return [json.dumps({"b64": base64.b64encode(text.encode()).decode()}) for text in tensor.ravel().tolist()]
    return [json.dumps(value, ensure_ascii=False) for value in tensor.ravel().tolist()]


def rows_json(tensors: Mapping[str, Tensor]) -> bytes:
    """``{"predictions": …}``: one element a row; an object where there are several tensors."""
    printed = {name: _rows(tokens_of(name, tensor), tensor.shape) for name, tensor in tensors.items()}
    if len(printed) == 1:
        (rows,) = printed.values()
        return f'{{\n{_INDENT}"predictions": [{", ".join(rows)}\n{_INDENT}]\n}}'.encode()
    pad, inner = _INDENT * 2, _INDENT * 3
    objects = []
    for row in zip(*printed.values(), strict=True):
        members = f",\n{inner}".join(f"{json.dumps(name)}: {text}" for name, text in zip(printed, row, strict=True))
        objects.append(f"{pad}{{\n{inner}{members}\n{pad}}}")
    body = ",\n".join(objects)
    return f'{{\n{_INDENT}"predictions": [\n{body}\n{_INDENT}]\n}}'.encode()


def columns_json(tensors: Mapping[str, Tensor]) -> bytes:
    """``{"outputs": …}``: each tensor whole; an object where there are several."""
    depth = 1 if len(tensors) == 1 else 2
    printed = {name: _spread(tokens_of(name, tensor), tensor.shape, depth=depth) for name, tensor in tensors.items()}
    if len(printed) == 1:
        (whole,) = printed.values()
        return f'{{\n{_INDENT}"outputs": {whole}\n}}'.encode()
    pad = _INDENT * 2
    members = f",\n{pad}".join(f"{json.dumps(name)}: {text}" for name, text in printed.items())
    return f'{{\n{_INDENT}"outputs": {{\n{pad}{members}\n{_INDENT}}}\n}}'.encode()


def results_json(results: Sequence[str]) -> bytes:
    """``{"results": …}`` of classify and regress, from elements that are JSON already."""
    return f'{{\n{_INDENT}"results": [{", ".join(results)}\n{_INDENT}]\n}}'.encode()


def objects_json(values: Sequence[Any], shape: tuple[int, ...], *, form: str) -> bytes:
    """Answers that are no tensors: a JSON value each, one on a line."""
    pad = _INDENT * 2
    lines = [json.dumps(value, ensure_ascii=False) for value in values]
    if len(shape) > 1:
        lines = _rows(lines, shape)
    key = "predictions" if form == "row" else "outputs"
    body = f",\n{pad}".join(lines)
    return f'{{\n{_INDENT}"{key}": [\n{pad}{body}\n{_INDENT}]\n}}'.encode()


def _rows(tokens: list[str], shape: tuple[int, ...]) -> list[str]:
    """The elements of the first dimension, each on one line."""
    for level in range(len(shape) - 1, 0, -1):
        tokens = ["[" + ", ".join(part) + "]" for part in _parts(tokens, shape, level=level)]
    return tokens


def _spread(tokens: list[str], shape: tuple[int, ...], *, depth: int) -> str:
    """A whole tensor, each element on a line of its own."""
    for level in range(len(shape) - 1, -1, -1):
        pad, inner = _INDENT * (depth + level), _INDENT * (depth + level + 1)
        tokens = [
            f"[\n{inner}" + f",\n{inner}".join(part) + f"\n{pad}]" if part else "[]"
            for part in _parts(tokens, shape, level=level)
        ]
    return tokens[0]


def _parts(tokens: list[str], shape: tuple[int, ...], *, level: int) -> list[list[str]]:
    """The tokens of one dimension, list by list."""
    size = shape[level]
    return [tokens[index * size : (index + 1) * size] for index in range(math.prod(shape[:level]))]
