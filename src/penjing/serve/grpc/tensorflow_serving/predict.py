"""The tensors of a ``PredictRequest`` and of its response.

Checks and messages come in TensorFlow Serving's order. Source: tensorflow/serving,
``servables/tensorflow/predict_util.cc`` (RunPredict, PreProcessPrediction).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from penjing.core.errors import InvalidRequestError, PreconditionError
from penjing.serve.answers import Inputs
from penjing.serve.api.sequences import QUESTION, Layout, to_inputs
from penjing.serve.api.tensorflow_serving.predicting import check_method
from penjing.serve.api.tensorflow_serving.signatures import DEFAULT, TEXT, Signature
from penjing.serve.grpc.tensorflow_serving.tensors import Tensor, read_tensor, write_tensor


def choose(request: Any, signatures: Mapping[str, Signature]) -> Signature:
    """The signature that was named, or else the one that fits: raw text goes to ``text``.

    Raises:
        PreconditionError: there is none of that name.
        InvalidRequestError: it is not one to predict by.
    """
    holds_text = (TEXT in request.inputs or QUESTION in request.inputs) and TEXT in signatures
    name = request.model_spec.signature_name or (TEXT if holds_text else DEFAULT)
    if name not in signatures:
        raise PreconditionError(f'Serving signature key "{name}" not found.')
    check_method(signatures[name], "predict")
    return signatures[name]


def read_inputs(request: Any, signature: Signature, *, max_values: int) -> tuple[Inputs, Layout]:
    """The sequences of a request, and how their answers are to be laid out.

    Args:
        request: a ``PredictRequest``.
        signature: that it asks for.
        max_values: the most that one tensor may hold.

    Raises:
        InvalidRequestError: anything about the inputs, or about the names of the wanted outputs, is wrong.
    """
    sent = _by_own_names(request.inputs, signature)
    _check_names(sent, signature)
    by_name = sorted(signature.inputs, key=lambda spec: spec.name)
    tensors = {
        spec.name: read_tensor(sent[spec.name], spec, place=place, max_values=max_values)
        for place, spec in enumerate(by_name)
        if spec.name in sent
    }
    _check_filter(request.output_filter, {spec.name for spec in signature.outputs})
    return to_inputs(tensors)


def write_outputs(response: Any, tensors: Mapping[str, Tensor], *, only: Iterable[str]) -> None:
    """Fill in the outputs of a ``PredictResponse``.

    Args:
        response: an empty one.
        tensors: all there are, by name.
        only: names of those that are wanted; none wants all.
    """
    for name in set(only) or set(tensors):
        write_tensor(response.outputs[name], tensors[name])


def _by_own_names(sent: Mapping[str, Any], signature: Signature) -> Mapping[str, Any]:
    """Inputs by the signature's names for them; as they came, where two would have the same."""
    named = {spec.name if (spec := signature.input(name)) else name: value for name, value in sent.items()}
    return named if len(named) == len(sent) else sent


def _check_names(sent: Mapping[str, Any], signature: Signature) -> None:
    names = {spec.name for spec in signature.inputs}
    required = {spec.name for spec in signature.inputs if spec.required}
    extra, missing = sent.keys() - names, required - sent.keys()
    if extra or missing:
        raise InvalidRequestError(
            f"input size does not match signature: {len(sent)}!={len(names)} "
            f"len({_set(sent)}) != len({_set(names)}). "
            f"Sent extra: {_set(extra)}. Missing but required: {_set(missing)}."
        )


def _check_filter(wanted: Iterable[str], names: Collection[str]) -> None:
    seen: set[str] = set()
    for name in wanted:
        if name not in names:
            raise InvalidRequestError(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set {_set(names)}."
            )
        if name in seen:
            raise InvalidRequestError(f"duplicate output tensor alias: {name}")
        seen.add(name)


def _set(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
