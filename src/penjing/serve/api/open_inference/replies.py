"""Answers as output tensors: which, in which form, in which order.

Of a classifier any of its outputs may be wanted, whatever came in; where none is named, token ids give
``logits``, as a model exported for Triton would, and texts give all. They are ``logits`` and what it tells in words:
``label``, ``score`` and ``probabilities``; where a text may have several labels ``labels``, a JSON list each, and
``probabilities``; of a regression ``score``. A tagger gives ``entities`` to
texts, a JSON list each, and a model that answers questions ``answers``, a JSON object each; both give
``logits`` of every token to token ids. An embedding model gives ``embedding``.

Source: Open Inference Protocol, "Inference Response JSON Object"; Triton's ``FinalizeResponse`` in
``src/http_server.cc`` and ``src/classification.cc``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from penjing.core.errors import FieldError
from penjing.core.nouns import Problem, Task
from penjing.serve.answers import Answers, Floats
from penjing.serve.api.http import Reply
from penjing.serve.api.open_inference.requests import LENGTH_HEADER, InferRequest, WantedOutput
from penjing.serve.api.open_inference.tensors import BYTES, pack_bytes
from penjing.serve.decoding import (
    IN_WORDS,
    LABEL,
    LABELS,
    SCORE,
    Predictions,
    classify,
    embeddings,
    entities,
    fillings,
    spans,
    translations,
)
from penjing.serve.versions import Servable

LOGITS = "logits"
ENTITIES, ANSWERS, MASKS, TRANSLATION = "entities", "answers", "masks", "translation_text"
_OF_TOKENS = {Task.QUESTION_ANSWERING: ANSWERS, Task.FILL_MASK: MASKS, Task.TRANSLATION: TRANSLATION}
EMBEDDING = "embedding"
_TOLD = {ENTITIES: entities, ANSWERS: spans, MASKS: fillings}
TEXT_OUTPUT = "text_output"  # of the generate extension too
_NO_CLASSES = (LABEL, LABELS, EMBEDDING, TEXT_OUTPUT)
_FP32 = "FP32"
_BINARY_TYPE = b"application/octet-stream"


class Output(NamedTuple):
    """One output tensor, row-major."""

    datatype: str
    shape: tuple[int, ...]
    values: Sequence[str] | Floats

    def data(self) -> list[Any]:
        """The values for JSON."""
        return self.values.ravel().tolist() if isinstance(self.values, np.ndarray) else list(self.values)

    def content(self) -> bytes:
        """The values as bytes."""
        if isinstance(self.values, np.ndarray):
            return self.values.astype("<f4").tobytes()
        return pack_bytes(self.values)


def outputs_for(servable: Servable, *, is_text: bool) -> tuple[str, ...]:
    """The outputs that there are for a request."""
    if servable.writes:
        return (TEXT_OUTPUT,)
    if servable.answering.reads == "first":
        return *IN_WORDS[servable.manifest.problem_type or Problem.SINGLE_LABEL], LOGITS
    if servable.answering.reads == "mean":
        return (EMBEDDING,)
    return (in_words(servable),) if is_text else (LOGITS,)


def in_words(servable: Servable) -> str:
    """The output that a model of tokens gives to texts."""
    return _OF_TOKENS.get(servable.manifest.task, ENTITIES)


def infer_reply(answers: Answers, asked: InferRequest, servable: Servable) -> Reply:
    """The reply to an inference request."""
    described, contents = [], []
    for one, output in outputs_of(answers, asked, servable):
        told: dict[str, Any] = {"name": one.name, "datatype": output.datatype, "shape": list(output.shape)}
        if asked.is_binary if one.is_binary is None else one.is_binary:
            contents.append(output.content())
            told["parameters"] = {"binary_data_size": len(contents[-1])}
        else:
            told["data"] = output.data()
        described.append(told)
    document = {
        **({"id": asked.id} if asked.id else {}),
        "model_name": answers.model,
        "model_version": str(answers.version),
        "outputs": described,
    }
    head = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    headers = answers.cost.headers()
    if not any(contents):
        return Reply(200, head, headers=headers)
    return Reply(200, b"".join((head, *contents)), _BINARY_TYPE, [(LENGTH_HEADER, b"%d" % len(head)), *headers])


def outputs_of(answers: Answers, asked: InferRequest, servable: Servable) -> Iterator[tuple[WantedOutput, Output]]:
    """Each output that is wanted, in order, and its tensor."""
    offered = outputs_for(servable, is_text=asked.is_text)
    usual = (LOGITS,) if LOGITS in offered and not asked.is_text else offered
    wanted = asked.outputs or tuple(WantedOutput(name) for name in usual)
    if servable.writes:
        yield from ((one, Output(BYTES, (len(answers.texts),), answers.texts)) for one in wanted)
        return
    if servable.answering.reads == "mean":
        vectors = embeddings(answers, servable)
        yield from ((one, Output(_FP32, vectors.shape, vectors)) for one in wanted)
        return
    if servable.answering.reads in ("tokens", "chosen"):
        for one in wanted:
            yield one, _of_tokens(answers, asked, servable)
        return
    needs_classes = any(one.name != LOGITS or one.classes for one in wanted)
    predicted = classify(answers) if needs_classes else None
    for one in wanted:
        yield one, _output(one, answers, predicted)


def _of_tokens(answers: Answers, asked: InferRequest, servable: Servable) -> Output:
    if servable.manifest.task is Task.TRANSLATION:
        said = translations(answers, servable)
        return Output(BYTES, (len(said),), said)
    if asked.is_text:
        of: Any = _TOLD[in_words(servable)]
        found = [json.dumps(own, ensure_ascii=False) for own in of(answers, servable)]
        return Output(BYTES, (len(found),), found)
    logits = asked.layout.spread(answers.outputs)
    return Output(_FP32, logits.shape, logits)


def check_wanted(asked: InferRequest, servable: Servable, *, model: str) -> None:
    """Before anything is computed for it.

    Raises:
        FieldError: an output is wanted that there is not, or twice, or as classes that it has not.
    """
    names, offered = [one.name for one in asked.outputs], outputs_for(servable, is_text=asked.is_text)
    for one in asked.outputs:
        if one.name not in offered:
            raise FieldError(
                f"unexpected inference output '{one.name[:80]}' for model '{model}'",
                field="outputs",
                expected=f"one of {', '.join(offered)}",
            )
        if names.count(one.name) > 1:
            raise FieldError(f"output '{one.name}' is wanted twice", field="outputs")
        if one.classes and (one.name in _NO_CLASSES or servable.answering.reads in ("tokens", "chosen")):
            raise FieldError(
                f"class result not available for output due to unsupported type '{BYTES}'"
                if one.name != EMBEDDING
                else "class result not available for an embedding",
                field="outputs",
                expected="classification of logits, probabilities or score",
            )


def _output(wanted: WantedOutput, answers: Answers, predicted: Predictions | None) -> Output:
    if predicted is None:
        return Output(_FP32, answers.outputs.shape, answers.outputs)
    values = answers.outputs if wanted.name == LOGITS else predicted.words[wanted.name]
    if isinstance(values, list):
        return Output(BYTES, (len(values),), values)
    if not wanted.classes:
        return Output(_FP32, values.shape, values)
    if wanted.name == SCORE:
        return _classification(values[:, None], (), most=wanted.classes)
    return _classification(values, predicted.classes, most=wanted.classes)


def _classification(rows: Floats, names: Sequence[str], *, most: int) -> Output:
    """The highest values of each row as ``value:index[:label]``, the highest first."""
    count = min(most, rows.shape[1])
    order = np.argsort(-rows, axis=1, kind="stable")[:, :count]
    told = [
        f"{row[index]:f}:{index}" + (f":{names[index]}" if names else "")
        for row, best in zip(rows.tolist(), order.tolist(), strict=True)
        for index in best
    ]
    return Output(BYTES, (len(rows), count), told)
