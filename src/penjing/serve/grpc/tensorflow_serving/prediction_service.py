"""``tensorflow.serving.PredictionService``.

Source: tensorflow/serving, ``servables/tensorflow/{predict_util,classifier,regressor,multi_inference}.cc`` and
``get_model_metadata_impl.cc``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

from penjing.core.errors import InvalidRequestError, UnsupportedError
from penjing.security.needs import LOOK, PREDICT, Need
from penjing.serve.answers import Answers
from penjing.serve.api.tensorflow_serving.errors import message_of
from penjing.serve.api.tensorflow_serving.predicting import check_method, enter, name_for, output_tensors
from penjing.serve.api.tensorflow_serving.signatures import DEFAULT, Signature, signatures_of
from penjing.serve.api.tensorflow_serving.status import signature_map
from penjing.serve.decoding import classify
from penjing.serve.grpc.calls import Answer, Call
from penjing.serve.grpc.messages import filled, message
from penjing.serve.grpc.tensorflow_serving.examples import read_input
from penjing.serve.grpc.tensorflow_serving.model_spec import call_of, check_spec, tell_version
from penjing.serve.grpc.tensorflow_serving.predict import choose, read_inputs, write_outputs
from penjing.serve.plane import DataPlane
from penjing.serve.recipe import ServeRecipe
from penjing.serve.versions import Version

_PACKAGE = "tensorflow.serving"
_FIELD = "signature_def"
_METHODS = {"tensorflow/serving/classify": "classify", "tensorflow/serving/regress": "regress"}
_VALUE_BYTES = 8


class PredictionService:
    """See the module.

    Args:
        plane: answers predictions.
        recipe: its ``max_body_bytes`` bounds tensors as well.
    """

    name = f"{_PACKAGE}.PredictionService"
    needs: Mapping[str, Need] = MappingProxyType(
        {
            "Predict": PREDICT,
            "Classify": PREDICT,
            "Regress": PREDICT,
            "MultiInference": PREDICT,
            "GetModelMetadata": LOOK,
        }
    )

    def __init__(self, plane: DataPlane, recipe: ServeRecipe) -> None:
        self._plane = plane
        self._max_values = recipe.max_body_bytes // _VALUE_BYTES

    def answers(self) -> Mapping[str, Answer]:
        """See :class:`penjing.serve.grpc.calls.Service`."""
        return {
            "Predict": self._predict,
            "Classify": partial(self._one_shot, method="classify"),
            "Regress": partial(self._one_shot, method="regress"),
            "MultiInference": self._multi,
            "GetModelMetadata": self._metadata,
        }

    def text_of(self, error: Exception) -> str:
        """See :class:`penjing.serve.grpc.calls.Service`."""
        return message_of(error)

    async def _predict(self, request: Any, call: Call) -> Any:
        with self._entered(request, call, api="Predict") as version:
            signature = choose(request, signatures_of(version.servable))
            read = partial(read_inputs, request, signature, max_values=self._max_values)
            inputs, layout = await call.off_loop(read)
            answers = await call.ask(version, inputs)
            tensors = output_tensors(answers, version.servable, signature, layout=layout)
        response = message(f"{_PACKAGE}.PredictResponse")()
        write_outputs(response, tensors, only=request.output_filter)
        tell_version(response.model_spec, answers, signature.name)
        return response

    async def _one_shot(self, request: Any, call: Call, *, method: str) -> Any:
        with self._entered(request, call, api=method.capitalize()) as version:
            asked = request.model_spec.signature_name
            signature = _signature(version, asked, method=method, absent="No signature was found with the name: ")
            answers = await call.ask(version, await call.off_loop(partial(read_input, request.input)))
        kind = {"classify": "ClassificationResponse", "regress": "RegressionResponse"}[method]
        response = message(f"{_PACKAGE}.{kind}")()
        _write_result(response.result, answers, method=method)
        tell_version(response.model_spec, answers, signature.name)
        return response

    async def _multi(self, request: Any, call: Call) -> Any:
        """Several signatures of one model on one input, which is run once."""
        response = message(f"{_PACKAGE}.MultiInferenceResponse")()
        if not request.tasks:
            return response
        _check_tasks(request.tasks)
        with self._entered(request.tasks[0], call, api="MultiInference") as version:
            methods = [_method_of(task, version) for task in request.tasks]
            answers = await call.ask(version, await call.off_loop(partial(read_input, request.input)))
        for task, method in zip(request.tasks, methods, strict=True):
            result = response.results.add()
            field = {"classify": "classification_result", "regress": "regression_result"}[method]
            _write_result(getattr(result, field), answers, method=method)
            tell_version(result.model_spec, answers, task.model_spec.signature_name or DEFAULT)
        return response

    async def _metadata(self, request: Any, call: Call) -> Any:
        check_spec(request)
        if not request.metadata_field:
            raise InvalidRequestError("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _FIELD:
                raise InvalidRequestError(f"Metadata field {field} is not supported")
        with self._entered(request, call, api="") as version:
            signatures = filled(f"{_PACKAGE}.SignatureDefMap", signature_map(version))
        response = message(f"{_PACKAGE}.GetModelMetadataResponse")()
        response.model_spec.name = version.model
        response.model_spec.version.value = version.number
        response.metadata[_FIELD].Pack(signatures)
        return response

    @contextmanager
    def _entered(self, request: Any, call: Call, *, api: str) -> Iterator[Version]:
        check_spec(request)
        call.model, call.api = request.model_spec.name, api
        version = enter(self._plane.models, call_of(request.model_spec))
        try:
            yield version
        finally:
            version.leave()


def _signature(version: Version, asked: str, *, method: str, absent: str) -> Signature:
    signatures = signatures_of(version.servable)
    name = name_for(asked, signatures, method=method)
    if name not in signatures:
        raise InvalidRequestError(f"{absent}{name}")
    check_method(signatures[name], method)
    return signatures[name]


def _check_tasks(tasks: Any) -> None:
    seen: set[str] = set()
    for task in tasks:
        if not task.model_spec.name:
            raise InvalidRequestError("Found ModelSpec with an empty model name.")
        if task.model_spec.name != tasks[0].model_spec.name:
            raise InvalidRequestError("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT
        if name in seen:
            raise InvalidRequestError(f"Duplicate evaluation of signature: {name}")
        seen.add(name)


def _method_of(task: Any, version: Version) -> str:
    method = _METHODS.get(task.method_name)
    if method is None:
        raise UnsupportedError(f"Unsupported signature method_name: {task.method_name}")
    asked = task.model_spec.signature_name
    _signature(version, asked, method=method, absent="Requested signature not found in model graph: ")
    return method


def _write_result(result: Any, answers: Answers, *, method: str) -> None:
    if method == "regress":
        for value in answers.outputs[:, 0].tolist():
            result.regressions.add(value=value)
        return
    predicted = classify(answers)
    for row in predicted.scores.tolist():
        classes = result.classifications.add().classes
        for label, score in zip(predicted.classes, row, strict=True):
            classes.add(label=label, score=score)
