"""classify and regress: ``examples`` of named features in, labels with scores or values out.

Features that Penjing reads: ``text`` (with ``text_pair``), or ``input_ids`` (with ``attention_mask``
and ``token_type_ids``). Others are ignored, as TensorFlow ignores features that no graph parses.

Source: ``util/json_tensor.cc`` (FillClassifyRegressRequestFromJson, AddValueToFeature).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penjing.core.errors import InvalidRequestError
from penjing.serve.answers import Inputs
from penjing.serve.api.sequences import to_inputs
from penjing.serve.api.tensorflow_serving.parsing import shown
from penjing.serve.api.tensorflow_serving.signatures import TensorSpec
from penjing.serve.api.tensorflow_serving.tensors import dense, is_b64, json_type

Feature = tuple[str, list[Any]]
_STRING = TensorSpec("", "string", ())
_SEQUENCES = ("input_ids", "attention_mask", "token_type_ids")
_MAX_FLOAT32 = float(np.finfo(np.float32).max)


def read_examples(document: Mapping[str, Any], *, method: str) -> Inputs:
    """The inputs of a classify or regress request.

    Raises:
        InvalidRequestError: see the table of messages.
    """
    context = _example(document["context"]) if "context" in document else {}
    if "examples" not in document:
        raise InvalidRequestError(
            f"JSON Value: {shown(document)} When method is {method}, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise InvalidRequestError(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise InvalidRequestError(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    return inputs_of([context | _example(example) for example in examples])


def inputs_of(examples: Sequence[Mapping[str, Feature]]) -> Inputs:
    """The inputs that examples stand for.

    Args:
        examples: feature name → kind (``bytes``, ``int64`` or ``float``) and values, bytes as text.

    Raises:
        InvalidRequestError: an example has no input in it, or they are of several kinds.
    """
    inputs: list[Any] = [one for example in examples for one in _input(example)]
    if len({type(one) for one in inputs}) > 1:
        raise InvalidRequestError("examples mix kinds", expected="all text, all pairs, or all input_ids")
    return inputs


def _example(value: Any) -> dict[str, Feature]:
    if not isinstance(value, dict):
        raise InvalidRequestError(f"Example must be JSON object but got JSON {json_type(value)}")
    return {name: _feature(name, content) for name, content in value.items()}


def _feature(name: str, content: Any) -> Feature:
    values = content if isinstance(content, list) else [content]
    kind, read = "", []
    for value in values:
        of_value, plain = _element(name, value)
        if kind and of_value != kind:
            raise InvalidRequestError(f"Unexpected element type in feature: {name} expecting type: {kind}")
        kind = of_value
        read.append(plain)
    return kind, read


def _element(name: str, value: Any) -> tuple[str, Any]:
    """Kind and value of one element: bytes, float or int64."""
    if isinstance(value, bool | int):
        if not -(2**63) <= value < 2**63:
            raise InvalidRequestError(f"Feature: {name} has uint64 element. Only int64 is supported.")
        return "int64", int(value)
    if isinstance(value, float):
        if math.isfinite(value) and abs(value) > _MAX_FLOAT32:
            value = math.copysign(math.inf, value)
        return "float", value
    if isinstance(value, str) or is_b64(value):
        return "bytes", dense(value, _STRING)[()]
    raise InvalidRequestError(f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")


def _input(example: Mapping[str, Feature]) -> Inputs:
    if "text" in example:
        texts = [_wanted(example, name, "bytes") for name in ("text", "text_pair") if name in example]
        return [texts[0][0] if len(texts) == 1 else (texts[0][0], texts[1][0])]
    if "input_ids" not in example:
        raise InvalidRequestError("Feature: text (data type: string) is required but could not be found.")
    tensors = {name: np.array([_wanted(example, name, "int64")], np.int64) for name in _SEQUENCES if name in example}
    return to_inputs(tensors)[0]


def _wanted(example: Mapping[str, Feature], name: str, kind: str) -> list[Any]:
    came, values = example[name]
    if came != kind or (kind == "bytes" and len(values) != 1):
        expected = "one string" if kind == "bytes" else "integers"
        raise InvalidRequestError(f"Feature: {name} holds {len(values)} of type {came or 'none'}", expected=expected)
    return values
