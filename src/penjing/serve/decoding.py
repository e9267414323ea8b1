"""From an engine's outputs to answers as every dialect needs them. The task decides; this only lays them out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from penjing.core.errors import FieldError
from penjing.core.nouns import Problem
from penjing.serve.answers import Answers, Floats
from penjing.serve.versions import Servable
from penjing.tasks import multi_label
from penjing.tasks.feature_extraction import shaped
from penjing.tasks.fill_mask import Filled
from penjing.tasks.question_answering import Answered
from penjing.tasks.text_classification import decode
from penjing.tasks.token_classification import Entity
from penjing.tasks.translation import Translated

LABEL, LABELS, SCORE, PROBABILITIES = "label", "labels", "score", "probabilities"
# What a text classifier tells of each text, by what it answers with.
IN_WORDS: dict[Problem, tuple[str, ...]] = {
    Problem.SINGLE_LABEL: (LABEL, SCORE, PROBABILITIES),
    Problem.MULTI_LABEL: (LABELS, PROBABILITIES),
    Problem.REGRESSION: (SCORE,),
}


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of several texts by a text classifier.

    Attributes:
        classes: names of its outputs.
        scores: float32 (texts, classes), probabilities; of a regression the number itself.
        words: name of :data:`IN_WORDS` → its value for each text: strings, or float32 (texts, …). The ``labels``
            of a text are one string, a JSON list.
    """

    classes: tuple[str, ...]
    scores: Floats
    words: Mapping[str, list[str] | Floats]


def classify(answers: Answers) -> Predictions:
    """A text classifier's answers; ``LABEL_0``, … stand in for names it has not."""
    logits = answers.outputs
    classes = answers.labels or tuple(f"LABEL_{index}" for index in range(logits.shape[1]))
    if answers.problem is Problem.REGRESSION:
        return Predictions(classes, logits, {SCORE: logits[:, 0]})
    if answers.problem is Problem.MULTI_LABEL:
        several = multi_label.decode(logits, classes, decoding=answers.decoding)
        shares = _table([one.probabilities for one in several], logits)
        given = [json.dumps(one.labels, ensure_ascii=False) for one in several]
        return Predictions(classes, shares, {LABELS: given, PROBABILITIES: shares})
    decoded = decode(logits, classes, decoding=answers.decoding)
    shares = _table([one.probabilities for one in decoded], logits)
    best = np.array([one.score for one in decoded], np.float32)
    return Predictions(classes, shares, {LABEL: [one.label for one in decoded], SCORE: best, PROBABILITIES: shares})


def _table(rows: list[Any], logits: Floats) -> Floats:
    return np.array(rows, np.float32).reshape(logits.shape)


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


def fillings(answers: Answers, servable: Servable) -> list[list[list[dict[str, Any]]]]:
    """What may stand at each mask of each text, as plain data: ``token``, ``token_str``, ``score``, ``sequence``.

    Args:
        answers: to texts.
        servable: of a fill-mask model.
    """
    if answers.asked is None:
        return []
    decoded = cast("list[Filled]", servable.answering.decode(answers.asked, answers.outputs))
    return [[[asdict(one) | {"score": round(one.score, 6)} for one in own] for own in text.masks] for text in decoded]


def translations(answers: Answers, servable: Servable) -> list[str]:
    """The translation of each text."""
    if answers.asked is None:
        return []
    decoded = cast("list[Translated]", servable.answering.decode(answers.asked, answers.outputs))
    return [one.text for one in decoded]
