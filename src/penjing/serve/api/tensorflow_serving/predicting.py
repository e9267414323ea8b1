"""What a prediction needs besides its wire form, which REST and gRPC do alike: version, signature, outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from penjing.core.errors import InvalidRequestError, ModelNotFoundError, NotReadyError
from penjing.core.nouns import Task
from penjing.serve.answers import Answers
from penjing.serve.api.sequences import Layout, Shape
from penjing.serve.api.tensorflow_serving.paths import Call
from penjing.serve.api.tensorflow_serving.printing import Tensor
from penjing.serve.api.tensorflow_serving.signatures import DEFAULT, EMBEDDING, MASKS, TEXT, Signature
from penjing.serve.decoding import classify, embeddings, entities, fillings, spans, translations
from penjing.serve.sight import KnownModels
from penjing.serve.versions import Servable, Version

_KINDS = {"classify": "classification", "regress": "regression", "predict": "prediction"}


def enter(models: KnownModels, call: Call) -> Version:
    """The version of a call, to be left; where there is none, TensorFlow Serving's words.

    Raises:
        InvalidRequestError: no such label.
        ModelNotFoundError: no such model or version, or none of it available.
    """
    try:
        return models.enter(call.model, call.ref)
    except (ModelNotFoundError, NotReadyError) as error:
        if isinstance(call.ref, str) and not isinstance(error, NotReadyError):
            raise InvalidRequestError(f"Unrecognized servable version label: {call.ref}") from error
        raise ModelNotFoundError(f"Servable not found for request: {call}") from error


def name_for(asked: str, signatures: Mapping[str, Signature], *, method: str) -> str:
    """Name of the signature that a classify or regress call means; the default stands for the method's own."""
    name = asked if asked not in ("", DEFAULT) or method not in signatures else method
    return name or DEFAULT


def check_method(signature: Signature, method: str) -> None:
    """Refuse a signature that is not made for the method.

    Raises:
        InvalidRequestError: it is made for another.
    """
    if signature.method != method:
        raise InvalidRequestError(
            f"Expected {_KINDS[method]} signature method_name to be tensorflow/serving/{method}. "
            f"Was: tensorflow/serving/{signature.method}"
        )


def output_tensors(answers: Answers, servable: Servable, signature: Signature, *, layout: Layout) -> dict[str, Tensor]:
    """The outputs of a predict signature by name.

    Args:
        answers: the engine's.
        servable: that gave them.
        signature: which outputs. Entities, and labels where there may be several, are a JSON list for each text.
        layout: of the request's sequences.

    Returns:
        float32, int64, or object (of str).
    """
    shape = layout.shape
    if servable.writes:
        return {signature.outputs[0].name: np.array(answers.texts, object).reshape(shape)}
    if servable.manifest.task is Task.FEATURE_EXTRACTION:
        vectors = embeddings(answers, servable)
        return {EMBEDDING: vectors.reshape(*shape, vectors.shape[1])}
    if servable.manifest.task is Task.TRANSLATION:
        return {signature.outputs[0].name: np.array(translations(answers, servable), object).reshape(shape)}
    if servable.manifest.task is Task.FILL_MASK:
        filled = [json.dumps(own, ensure_ascii=False) for own in fillings(answers, servable)]
        return {MASKS: np.array(filled, object).reshape(shape)}
    if signature.name != TEXT and servable.answering.reads == "tokens":
        return {"logits": layout.spread(answers.outputs)}
    if signature.name != TEXT:
        return {"logits": answers.outputs.reshape(*shape, answers.outputs.shape[1])}
    if servable.manifest.task is Task.TOKEN_CLASSIFICATION:
        found = [json.dumps(own, ensure_ascii=False) for own in entities(answers, servable)]
        return {"entities": np.array(found, object).reshape(shape)}
    if servable.manifest.task is Task.QUESTION_ANSWERING:
        return _answer_tensors(spans(answers, servable), shape)
    return {
        name: np.array(told, object).reshape(shape)
        if isinstance(told, list)
        else told.reshape((*shape, *told.shape[1:]))
        for name, told in classify(answers).words.items()
    }


def _answer_tensors(found: list[dict[str, Any]], shape: Shape) -> dict[str, Tensor]:
    types: dict[str, type] = {
        "answer": object, "start": np.int64, "end": np.int64, "score": np.float32, "no_answer": np.float32,
    }  # fmt: skip
    return {name: np.array([one[name] for one in found], kind).reshape(shape) for name, kind in types.items()}
