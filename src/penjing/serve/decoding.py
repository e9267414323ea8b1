"""From an engine's outputs to labels, as arrays. The task decides; this only lays its answers side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penjing.serve.answers import Floats
from penjing.tasks.text_classification import decode


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


def classify(logits: Floats, classes: tuple[str, ...]) -> Predictions:
    """Labels, scores and probabilities.

    Args:
        logits: float32 (texts, classes).
        classes: their names; ``LABEL_0``, … stand in where there are none.
    """
    classes = classes or tuple(f"LABEL_{index}" for index in range(logits.shape[1]))
    answers = decode(logits, classes)
    return Predictions(
        [answer.label for answer in answers],
        np.array([answer.score for answer in answers], np.float32),
        np.array([answer.probabilities for answer in answers], np.float32).reshape(logits.shape),
        classes,
    )
