"""The body of a predict request: which signature, which form, which tensors.

Checks and messages come in TensorFlow Serving's order, so that a request with two faults gets the
same answer here and there.

Source: ``util/json_tensor.cc`` (FillPredictRequestFromJson and below).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from penjing.core.errors import InvalidRequestError
from penjing.serve.api.sequences import QUESTION
from penjing.serve.api.tensorflow_serving.parsing import shown
from penjing.serve.api.tensorflow_serving.signatures import DEFAULT, TEXT, Signature
from penjing.serve.api.tensorflow_serving.tensors import Tensor, dense, is_b64

Form = Literal["row", "columnar"]
Tensors = dict[str, Tensor]
_PER_TENSORINFO = "as multiple input tensors required as per tensorinfo_map"


def signature_name(document: Mapping[str, Any]) -> str:
    """The name that was asked for; empty for the default.

    Raises:
        InvalidRequestError: it is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidRequestError(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def choose(document: Mapping[str, Any], signatures: Mapping[str, Signature]) -> Signature:
    """The signature that was named, or else the one that fits: raw text goes to ``text``.

    Raises:
        InvalidRequestError: there is none of that name.
    """
    name = signature_name(document) or (TEXT if _holds_text(document) and TEXT in signatures else DEFAULT)
    if name not in signatures:
        raise InvalidRequestError(f'Serving signature name: "{name}" not found in signature def')
    return signatures[name]


def read_inputs(document: Mapping[str, Any], signature: Signature) -> tuple[Form, Tensors]:
    """The input tensors of a request, and the form they came in.

    Raises:
        InvalidRequestError: see the table of messages.
    """
    has_rows, has_columns = "instances" in document, "inputs" in document
    if has_rows and has_columns:
        raise InvalidRequestError(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if has_columns:
        return "columnar", _read_columns(document["inputs"], signature)
    if not has_rows:
        raise InvalidRequestError("Missing 'inputs' or 'instances' key")
    rows = document["instances"]
    if not isinstance(rows, list):
        raise InvalidRequestError(f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array")
    if not rows:
        raise InvalidRequestError(f"JSON Value: {shown(document)} No values in 'instances' array")
    return "row", _read_rows(rows, signature)


def _holds_text(document: Mapping[str, Any]) -> bool:
    value = document.get("instances", document.get("inputs"))
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, str) or (
        isinstance(value, dict) and ("text" in value or QUESTION in value or is_b64(value))
    )


def _is_row_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_b64(value)


def _read_rows(rows: list[Any], signature: Signature) -> Tensors:
    if not isinstance(rows[0], dict) and signature.plain is None:
        raise InvalidRequestError(f"instances is a plain list, but expecting list of objects {_PER_TENSORINFO}")
    are_objects = _is_row_object(rows[0])
    columns: dict[str, list[Tensor]] = {}
    for index, row in enumerate(rows):
        if are_objects and not _is_row_object(row):
            raise InvalidRequestError(f"Expecting object but got list at item {index} of input list")
        if not are_objects and _is_row_object(row):
            raise InvalidRequestError(f"Expecting value/list but got object at item {index} of input list")
        for name, value in row.items() if are_objects else ((signature.plain or "", row),):
            try:
                _add_cell(columns, signature, name=name, value=value)
            except InvalidRequestError as error:
                key = f" key: {name}" if are_objects else ""
                raise InvalidRequestError(
                    f"Failed to process element: {index}{key} of 'instances' list. "
                    f"Error: INVALID_ARGUMENT: {error.came}"
                ) from error
        _check_keys(row, columns, signature, index=index)
    return {name: cells[0][None] if len(cells) == 1 else np.stack(cells) for name, cells in columns.items()}


def _add_cell(columns: dict[str, list[Tensor]], signature: Signature, *, name: str, value: Any) -> None:
    spec = signature.input(name)
    if spec is None:
        raise InvalidRequestError(f"JSON object: does not have named input: {name}")
    cell = dense(value, spec)
    cells = columns.setdefault(spec.name, [])
    if cells and cells[0].size != cell.size:
        raise InvalidRequestError(f"Expecting tensor size: {cells[0].size} but got: {cell.size}")
    if cells and cells[0].shape != cell.shape:
        raise InvalidRequestError(f"Expecting shape {_print_shape(cells[0])} but got: {_print_shape(cell)}")
    cells.append(cell)


def _check_keys(row: Any, columns: dict[str, list[Tensor]], signature: Signature, *, index: int) -> None:
    """Every row has the same inputs, and all that are required."""
    whole = all(len(cells) == index + 1 for cells in columns.values())
    if whole and all(spec.name in columns for spec in signature.inputs if spec.required):
        return
    names = ",".join(sorted(spec.name for spec in signature.inputs))
    raise InvalidRequestError(
        f"Failed to process element: {index} of 'instances' list. JSON object: {shown(row)} "
        f"keys must be equal to: {names}"
    )


def _read_columns(value: Any, signature: Signature) -> Tensors:
    if not _is_row_object(value):
        spec = signature.input(signature.plain) if signature.plain else None
        if spec is None:
            raise InvalidRequestError(f"inputs is a plain value/list, but expecting an object {_PER_TENSORINFO}")
        return {spec.name: dense(value, spec)}
    tensors = {}
    came = {spec.name: content for name, content in value.items() if (spec := signature.input(name))}
    for spec in signature.inputs:
        if spec.name in came:
            tensors[spec.name] = dense(came[spec.name], spec)
        elif spec.required:
            raise InvalidRequestError(f"Missing named input: {spec.name} in 'inputs' object.")
    return tensors


def _print_shape(tensor: Tensor) -> str:
    return "[" + ",".join(map(str, tensor.shape)) + "]"
