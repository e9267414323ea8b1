"""The input of classify, regress and multi-inference calls: ``tensorflow.Example`` messages.

Which features are read: :mod:`penjing.serve.api.tensorflow_serving.examples`.

Source: tensorflow/serving, ``servables/tensorflow/util.cc`` (InputToSerializedExampleTensor).
"""

from __future__ import annotations

from typing import Any

from penjing.core.errors import InvalidRequestError
from penjing.serve.answers import Inputs
from penjing.serve.api.tensorflow_serving.examples import Feature, inputs_of
from penjing.serve.grpc.tensorflow_serving.tensors import decode

_READ = ("text", "text_pair", "input_ids", "attention_mask", "token_type_ids")
_LISTS = {"bytes_list": "bytes", "int64_list": "int64", "float_list": "float"}


def read_input(sent: Any) -> Inputs:
    """The sequences of an ``Input``; what an example has not, the context gives.

    Raises:
        InvalidRequestError: it is empty, or an example holds no input.
    """
    kind = sent.WhichOneof("kind")
    examples = getattr(sent, kind).examples if kind else ()
    if not examples:
        raise InvalidRequestError("Input is empty.")
    context = _features(sent.example_list_with_context.context) if kind == "example_list_with_context" else {}
    return inputs_of([context | _features(example) for example in examples])


def _features(example: Any) -> dict[str, Feature]:
    features = example.features.feature
    return {name: _feature(name, features[name]) for name in _READ if name in features}


def _feature(name: str, feature: Any) -> Feature:
    kind = feature.WhichOneof("kind")
    if kind is None:
        return "", []
    values = list(getattr(feature, kind).value)
    if kind == "bytes_list":
        values = [decode(value, f"Feature: {name}") for value in values]
    return _LISTS[kind], values
