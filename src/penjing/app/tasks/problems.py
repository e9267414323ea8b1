"""What text classification answers with: the part of its flow that differs from problem to problem.

A problem knows outputs of a head, targets and answers; how sequences come to outputs is the flow's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, final

import numpy as np
import numpy.typing as npt

from penjing.app.tasks.base import Judgement
from penjing.core.nouns import Problem
from penjing.evaluate import (
    Change,
    ClassificationScore,
    LabelsScore,
    PairedComparison,
    compare_labels,
    compare_numbers,
    score_numbers,
)
from penjing.tasks import multi_label, regression, text_classification
from penjing.tasks.text_classification import TEMPERATURE
from penjing.train.recipe import TrainingRecipe

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Outputs = Iterator[tuple[npt.NDArray[np.int64], Floats]]  # which sequences, and their outputs


class ProblemFlow(Protocol):
    """What is particular to a problem.

    Attributes:
        wants_validation: whether answers need settings that are found on a validation split.
    """

    wants_validation: bool

    def outputs_for(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Names of the head's outputs."""

    def labels_behind(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """The labels that a head with these outputs knows."""

    def targets(self, examples: Sequence[Any], outputs: Sequence[str]) -> npt.NDArray[Any]:
        """What the head should give for each example."""

    def objective(self, targets: npt.NDArray[Any], recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """What training makes small."""

    def settings(self, outputs: Floats, targets: npt.NDArray[Any], names: Sequence[str]) -> dict[str, float]:
        """Settings of decoding that fit a validation split."""

    def judge(
        self, given: Outputs, targets: npt.NDArray[Any], names: Sequence[str], *, decoding: Mapping[str, float]
    ) -> Judgement:
        """Scores of a split, as its outputs come in."""

    def compare(self, baseline: Ints, candidate: Ints, *, targets: npt.NDArray[Any], names: Sequence[str]) -> Change:
        """What changed between two sets of answers."""


class SingleLabel:
    """One label a text. Predictions: class numbers."""

    wants_validation = False

    def outputs_for(self, labels: Sequence[str]) -> tuple[str, ...]:
        """One output a label."""
        return tuple(labels)

    def labels_behind(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """The outputs themselves."""
        return tuple(outputs)

    def targets(self, examples: Sequence[Any], outputs: Sequence[str]) -> npt.NDArray[Any]:
        """Label indices."""
        return text_classification.targets_of(examples, outputs)

    def objective(self, targets: npt.NDArray[Any], recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """Cross-entropy; where the recipe says so, of classes weighted by their rarity and of smoothed targets."""
        balanced = recipe.class_weights == "balanced"
        weights = text_classification.balanced_weights(targets) if balanced else None
        return partial(text_classification.loss, class_weights=weights, label_smoothing=recipe.label_smoothing)

    def settings(self, outputs: Floats, targets: npt.NDArray[Any], names: Sequence[str]) -> dict[str, float]:
        """The temperature at which stated confidence fits best."""
        del names
        return {TEMPERATURE: text_classification.fit_temperature(outputs, targets)}

    def judge(
        self, given: Outputs, targets: npt.NDArray[Any], names: Sequence[str], *, decoding: Mapping[str, float]
    ) -> Judgement:
        """Accuracy, macro-F1, calibration; in flat memory."""
        score, predictions = ClassificationScore(names), np.zeros(len(targets), np.int32)
        for rows, logits in given:
            scaled = text_classification.adjusted(logits, names, decoding)
            score.add(scaled, targets[rows])
            predictions[rows] = scaled.argmax(axis=1)
        return Judgement(score.result(), predictions)

    def compare(self, baseline: Ints, candidate: Ints, *, targets: npt.NDArray[Any], names: Sequence[str]) -> Change:
        """Paired by text."""
        comparison = PairedComparison(names)
        comparison.add_predictions(baseline, candidate, targets=targets)
        return comparison.result()


@final
class MultiLabel:
    """Any number of labels a text. Predictions: zeros and ones, (rows, labels)."""

    wants_validation = True

    def outputs_for(self, labels: Sequence[str]) -> tuple[str, ...]:
        """One output a label."""
        return tuple(labels)

    def labels_behind(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """The outputs themselves."""
        return tuple(outputs)

    def targets(self, examples: Sequence[Any], outputs: Sequence[str]) -> npt.NDArray[Any]:
        """Zeros and ones."""
        return multi_label.targets_of(examples, outputs)

    def objective(self, targets: npt.NDArray[Any], recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """Binary cross-entropy."""
        del targets, recipe
        return multi_label.loss

    def settings(self, outputs: Floats, targets: npt.NDArray[Any], names: Sequence[str]) -> dict[str, float]:
        """The temperature at which probabilities fit best, and the thresholds at which F1 is highest."""
        calibrated = {TEMPERATURE: multi_label.fit_temperature(outputs, targets)}
        return calibrated | multi_label.fit_thresholds(multi_label.shares_of(outputs, calibrated), targets, names)

    def judge(
        self, given: Outputs, targets: npt.NDArray[Any], names: Sequence[str], *, decoding: Mapping[str, float]
    ) -> Judgement:
        """Micro- and macro-F1, subset accuracy, calibration."""
        score, thresholds = LabelsScore(names, targets == 1), multi_label.thresholds_of(decoding, names)
        for rows, logits in given:
            score.add(rows, multi_label.shares_of(logits, decoding), thresholds)
        return Judgement(score.result(), score.found.astype(np.int32))

    def compare(self, baseline: Ints, candidate: Ints, *, targets: npt.NDArray[Any], names: Sequence[str]) -> Change:
        """Paired by text."""
        return compare_labels(baseline == 1, candidate == 1, targets=targets == 1, labels=names)


@final
class Regression:
    """A number a text. Predictions: the bits of float32."""

    wants_validation = False

    def outputs_for(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The number alone."""
        del labels
        return (regression.OUTPUT,)

    def labels_behind(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """None."""
        del outputs
        return ()

    def targets(self, examples: Sequence[Any], outputs: Sequence[str]) -> npt.NDArray[Any]:
        """The numbers."""
        del outputs
        return regression.targets_of(examples)

    def objective(self, targets: npt.NDArray[Any], recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """Squared error, in units of the training numbers' spread."""
        del recipe
        return partial(regression.loss, scale=regression.Scale.of(targets))

    def settings(self, outputs: Floats, targets: npt.NDArray[Any], names: Sequence[str]) -> dict[str, float]:
        """None: the output is the number."""
        del outputs, targets, names
        return {}

    def judge(
        self, given: Outputs, targets: npt.NDArray[Any], names: Sequence[str], *, decoding: Mapping[str, float]
    ) -> Judgement:
        """R², correlations, errors."""
        del names, decoding
        numbers = np.zeros(len(targets), np.float32)
        for rows, outputs in given:
            numbers[rows] = outputs[:, 0]
        return Judgement(score_numbers(numbers, targets), numbers.view(np.int32))

    def compare(self, baseline: Ints, candidate: Ints, *, targets: npt.NDArray[Any], names: Sequence[str]) -> Change:
        """Paired by text."""
        del names
        return compare_numbers(baseline.view(np.float32), candidate.view(np.float32), targets=targets)


PROBLEMS: dict[Problem, type[ProblemFlow]] = {
    Problem.SINGLE_LABEL: SingleLabel,
    Problem.MULTI_LABEL: MultiLabel,
    Problem.REGRESSION: Regression,
}
