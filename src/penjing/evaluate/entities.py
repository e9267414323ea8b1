"""Scores of entities, kept up sentence by sentence, and what changed between two models.

An entity is right if its words and its label are: seqeval's definition, and that of the CoNLL
evaluation script. Intervals resample sentences, for the entities of one are not independent.

Promise: memory depends on the number of labels and of different sentence outcomes alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from penjing.core.errors import DataError
from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate import intervals
from penjing.evaluate.confusion import ClassFigures, Floats
from penjing.evaluate.inputs import checked_labels
from penjing.evaluate.paired import ClassChange, ComparisonRow
from penjing.evaluate.resampling import bootstrap

Entity = tuple[int, int, str]  # first word, word after the last, label


class EntityResult(Frozen):
    """What a tagger was measured to do. Plain data; reloads from its own JSON.

    Attributes:
        labels: kinds of entities.
        n: sentences; entities: true ones in them.
        metrics: ``f1``, ``precision``, ``recall`` over all entities, ``macro_f1`` over labels (bootstrap over
            sentences), ``sentence_accuracy``: sentences with every entity right and none too many (Wilson).
        per_class: figures by label.
        mistakes: kind of mistake → how many: ``missed``, ``invented``, ``wrong label``, ``wrong boundary``.
    """

    kind: Literal["entities"] = "entities"
    labels: tuple[str, ...]
    n: int
    entities: int
    metrics: dict[str, Measurement]
    per_class: tuple[ClassFigures, ...]
    mistakes: dict[str, int]

    @property
    def headlines(self) -> tuple[str, ...]:
        """The metrics that stand on top of a report."""
        return "f1", "precision", "recall"


class EntityScore:
    """Adds up sentences.

    Args:
        labels: kinds of entities that count.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = checked_labels(tuple(labels), least=1)
        self._index = {label: at for at, label in enumerate(labels)}
        self._outcomes: Counter[tuple[int, ...]] = Counter()  # by label: right, found, true
        self._mistakes = Counter(dict.fromkeys(("missed", "invented", "wrong label", "wrong boundary"), 0))
        self._perfect = 0

    def add(self, found: Sequence[Entity], true: Sequence[Entity]) -> None:
        """Count a sentence.

        Raises:
            DataError: a label that is not known.
        """
        counts = np.zeros((len(self._labels), 3), np.int64)
        right = set(found) & set(true)
        for column, entities in ((0, right), (1, set(found)), (2, set(true))):
            for entity in entities:
                counts[self._place(entity), column] += 1
        self._outcomes[tuple(counts.ravel().tolist())] += 1
        self._perfect += set(found) == set(true)
        self._mistakes.update(mistakes(set(found) - right, set(true) - right))

    def _place(self, entity: Entity) -> int:
        if entity[2] not in self._index:
            raise DataError(f"an entity with the label {entity[2]!r}", expected=f"one of {', '.join(self._labels)}")
        return self._index[entity[2]]

    def result(self, *, seed: int = 0) -> EntityResult:
        """The figures so far; more sentences may follow.

        Raises:
            DataError: nothing was added.
        """
        n = self._outcomes.total()
        if n == 0:
            raise DataError("no sentences to score", expected="at least one")
        sums = np.zeros((len(self._labels), 3), np.int64)
        for kind, often in self._outcomes.items():
            sums += often * np.array(kind).reshape(-1, 3)
        return EntityResult(
            labels=self._labels,
            n=n,
            entities=int(sums[:, 2].sum()),
            metrics=self._metrics(n, seed),
            per_class=tuple(figures_of(label, row) for label, row in zip(self._labels, sums.tolist(), strict=True)),
            mistakes=dict(self._mistakes),
        )

    def _metrics(self, n: int, seed: int) -> dict[str, Measurement]:
        micro: Counter[tuple[int, ...]] = Counter()
        for kind, often in self._outcomes.items():
            micro[tuple(np.array(kind).reshape(-1, 3).sum(axis=0).tolist())] += often
        return {
            "f1": bootstrap(micro, f1_of, seed=seed),
            "precision": bootstrap(micro, lambda sums: share_of(sums[:, 0], sums[:, 1]), seed=seed),
            "recall": bootstrap(micro, lambda sums: share_of(sums[:, 0], sums[:, 2]), seed=seed),
            "macro_f1": bootstrap(self._outcomes, _macro_f1, seed=seed),
            "sentence_accuracy": intervals.share(self._perfect, n),
        }


class EntityChange(Frozen):
    """How a candidate tagger differs from its baseline on the same sentences.

    Attributes:
        n: sentences.
        baseline_f1, candidate_f1, f1_difference: paired bootstrap over sentences; candidate − baseline.
        agreement: sentences with the same entities from both.
        per_class: true entities lost and gained by label, and answers that differ.
    """

    kind: Literal["entities"] = "entities"
    n: int
    baseline_f1: Measurement
    candidate_f1: Measurement
    f1_difference: Measurement
    agreement: Measurement
    per_class: tuple[ClassChange, ...]

    @property
    def differences(self) -> dict[str, Measurement]:
        """Metric → difference, as a gate takes them."""
        return {"f1": self.f1_difference}

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """What a table shows."""
        return (
            ComparisonRow("F1 of {baseline}", self.baseline_f1, "share"),
            ComparisonRow("F1 of {candidate}", self.candidate_f1, "share"),
            ComparisonRow("Difference in F1 (percentage points)", self.f1_difference, "points"),
            ComparisonRow("Agreement (sentences with the same entities)", self.agreement, "share"),
        )


class EntityComparison:
    """Adds up two taggers' answers to the same sentences."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = checked_labels(tuple(labels), least=1)
        self._outcomes: Counter[tuple[int, ...]] = Counter()  # right, found of each side, and true
        self._same = 0
        self._changes = {label: np.zeros(4, np.int64) for label in labels}  # support, changed, lost, gained

    def add(self, baseline: Sequence[Entity], candidate: Sequence[Entity], *, true: Sequence[Entity]) -> None:
        """Count a sentence."""
        before, after, gold = set(baseline), set(candidate), set(true)
        self._outcomes[(len(before & gold), len(before), len(after & gold), len(after), len(gold))] += 1
        self._same += before == after
        lost, gained = (before - after) & gold, (after - before) & gold
        for column, entities in enumerate((gold, before ^ after, lost, gained)):
            for _, _, label in entities:
                self._changes[label][column] += 1

    def result(self, *, seed: int = 0) -> EntityChange:
        """The comparison so far.

        Raises:
            DataError: nothing was added.
        """
        n = self._outcomes.total()
        if n == 0:
            raise DataError("no sentences to compare", expected="at least one")
        return EntityChange(
            n=n,
            baseline_f1=bootstrap(self._outcomes, lambda sums: f1_of(sums[:, [0, 1, 4]]), seed=seed),
            candidate_f1=bootstrap(self._outcomes, lambda sums: f1_of(sums[:, [2, 3, 4]]), seed=seed),
            f1_difference=bootstrap(
                self._outcomes, lambda sums: f1_of(sums[:, [2, 3, 4]]) - f1_of(sums[:, [0, 1, 4]]), seed=seed
            ),
            agreement=intervals.share(self._same, n),
            per_class=tuple(
                ClassChange(label=label, support=int(row[0]), changed=int(row[1]), lost=int(row[2]), gained=int(row[3]))
                for label, row in self._changes.items()
            ),
        )


def mistakes(found: set[Entity], true: set[Entity]) -> Counter[str]:
    """Wrong answers by kind; each true entity and each found one is counted once at most."""
    counts: Counter[str] = Counter()
    left, spare = set(true), set(found)
    for name, alike in (("wrong label", _same_place), ("wrong boundary", _overlap)):
        for entity in sorted(spare):
            partner = next((other for other in sorted(left) if alike(entity, other)), None)
            if partner is not None:
                counts[name] += 1
                left.discard(partner)
                spare.discard(entity)
    counts["missed"], counts["invented"] = len(left), len(spare)
    return counts


def f1_of(sums: Floats) -> Floats:
    """F1 of (right, found, true), float64 (draws, 3); 0 where there is nothing to find and nothing found."""
    return share_of(2 * sums[:, 0], sums[:, 1] + sums[:, 2])


def share_of(part: Floats, whole: Floats) -> Floats:
    """A part over its whole; 0 where there is no whole."""
    shares: Floats = np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)
    return shares


def _macro_f1(sums: Floats) -> Floats:
    by_label = sums.reshape(len(sums), -1, 3)
    met = by_label[..., 1] + by_label[..., 2] > 0
    f1 = np.where(met, 2 * by_label[..., 0] / np.where(met, by_label[..., 1] + by_label[..., 2], 1), 0.0)
    return np.asarray(f1.sum(axis=1) / np.maximum(met.sum(axis=1), 1))


def figures_of(label: str, counts: Sequence[int]) -> ClassFigures:
    """How one label fares, by how often it was rightly found, found, and there."""
    right, found, true = counts
    return ClassFigures(
        label=label,
        support=true,
        predicted=found,
        precision=right / found if found else None,
        recall=right / true if true else None,
        f1=2 * right / (found + true) if found + true else None,
    )


def _same_place(one: Entity, other: Entity) -> bool:
    return one[:2] == other[:2]


def _overlap(one: Entity, other: Entity) -> bool:
    return one[0] < other[1] and other[0] < one[1]
