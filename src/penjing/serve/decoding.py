"""From an engine's outputs to answers as every dialect needs them. The task decides; this only lays them out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from penjing.core.errors import FieldError
from penjing.serve.answers import Answers, Floats
from penjing.serve.versions import Servable
from penjing.tasks.feature_extraction import shaped
from penjing.tasks.question_answering import Answered
from penjing.tasks.text_classification import TEMPERATURE, decode
from penjing.tasks.token_classification import Entity


@dataclass(frozen=True, slots=True)
class Predictions:
    """Class predictions of several texts.

    Attributes:
        labels: the likeliest label of each text.
        scores: float32 (texts,), its probability.
        probabilities: float32 (texts, classes).
        classes: names of the columns.
    """

    labels: list[str]
    scores: Floats
    probabilities: Floats
    classes: tuple[str, ...]


def classify(answers: Answers) -> Predictions:
    """Labels, scores and probabilities of a classifier's answers; ``LABEL_0``, … stand in for names it has not."""
    logits = answers.outputs
    classes = answers.labels or tuple(f"LABEL_{index}" for index in range(logits.shape[1]))
    decoded = decode(logits, classes, temperature=answers.decoding.get(TEMPERATURE, 1.0))
    return Predictions(
        [one.label for one in decoded],
        np.array([one.score for one in decoded], np.float32),
        np.array([one.probabilities for one in decoded], np.float32).reshape(logits.shape),
        classes,
    )


def embeddings(
    answers: Answers, servable: Servable, *, normalised: bool | None = None, dimensions: int | None = None
) -> Floats:
    """The vector of each text, float32 (texts, dimensions).

    Args:
        answers: of an embedding model.
        servable: the model.
        normalised: of length one; None is as the model has it.
        dimensions: how many of the first ones; None is all.
    """
    embedding = servable.manifest.embedding
    if normalised is None:
        normalised = embedding is not None and embedding.normalised
    return shaped(answers.outputs, normalised=normalised, dimensions=dimensions)


def check_dimensions(servable: Servable, dimensions: int | None) -> None:
    """Before anything is computed for it: FieldError unless the vectors have as many dimensions."""
    size = servable.manifest.embedding.size if servable.manifest.embedding else 0
    if dimensions is not None and not 1 <= dimensions <= size:
        raise FieldError(f"dimensions is {dimensions}", field="dimensions", expected=f"1 to {size}")


def sigmoid(logits: Floats) -> Floats:
    """Probabilities of a head with one output, float32, of the same shape."""
    return (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)


def entities(answers: Answers, servable: Servable) -> list[list[dict[str, Any]]]:
    """The entities of each text, as plain data.

    Args:
        answers: to texts.
        servable: of a token-classification model.
    """
    if answers.asked is None:
        return []
    decoded = cast("list[list[Entity]]", servable.answering.decode(answers.asked, answers.outputs))
    return [[asdict(entity) | {"score": round(entity.score, 6)} for entity in own] for own in decoded]


def spans(answers: Answers, servable: Servable) -> list[dict[str, Any]]:
    """The answer to each question, as plain data: ``answer``, ``start``, ``end``, ``score``, ``no_answer``.

    Args:
        answers: to pairs of question and context.
        servable: of a question-answering model.
    """
    if answers.asked is None:
        return []
    decoded = cast("list[Answered]", servable.answering.decode(answers.asked, answers.outputs))
    return [
        {
            "answer": one.answer,
            "start": one.start,
            "end": one.end,
            "score": round(one.score, 6),
            "no_answer": round(one.no_answer, 6),
        }
        for one in decoded
    ]
