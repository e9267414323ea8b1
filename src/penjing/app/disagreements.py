"""Test texts on which two versions answer differently: what was asked, what is right, and both answers in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part
from penjing.core.nouns import Problem, Task
from penjing.evaluate import Disagreement
from penjing.store import ManifestDraft
from penjing.tokens.tagging import labels_of

_MOST = 20
_LONGEST = 300  # characters of a text
_NOTHING = "—"

Ints = npt.NDArray[np.int32]
Worded = Callable[[Any, Any], str]


def disagreements(draft: ManifestDraft, before: Ints, after: Ints, *, part: Part) -> tuple[Disagreement, ...]:
    """Some of them, those first where a right answer was lost; none of tasks whose answers are no words.

    Args:
        draft: of either version.
        before: predictions of the one, as the task has them.
        after: of the other.
        part: the test split.
    """
    single = draft.problem_type in (None, Problem.SINGLE_LABEL)
    if draft.task is Task.TEXT_CLASSIFICATION and single:
        return _classes(draft.labels, before, after, part)
    if draft.task is Task.TOKEN_CLASSIFICATION:
        return _entities(labels_of(draft.labels), before, after, part)
    if draft.task is Task.QUESTION_ANSWERING:
        return _answers(before, after, part)
    return ()


def _classes(labels: Sequence[str], before: Ints, after: Ints, part: Part) -> tuple[Disagreement, ...]:
    right = np.asarray(part.targets)
    found = [
        (" ⏎ ".join(part.split.examples[row].texts), *(labels[int(one[row])] for one in (right, before, after)))
        for row in np.flatnonzero(before != after).tolist()
    ]
    return _chosen(found)


def _entities(labels: Sequence[str], before: Ints, after: Ints, part: Part) -> tuple[Disagreement, ...]:
    sides = [_by_example(found, part.split.rows) for found in (before, after)]

    def worded(example: Any, entities: Sequence[Any]) -> str:
        spans = [(example.text[example.words[a][0] : example.words[b - 1][1]], label) for a, b, label in entities]
        return ", ".join(f"{text} {label}" for text, label in spans) or _NOTHING

    found = []
    for example, one, other in zip(part.split.examples, *sides, strict=True):
        if one != other:
            named = [[(a, b, labels[at]) for a, b, at in side] for side in (one, other)]
            found.append((example.text, *(worded(example, some) for some in (sorted(example.entities), *named))))
    return _chosen(found)


def _by_example(found: Ints, rows: int) -> list[list[tuple[int, int, int]]]:
    entities: list[list[tuple[int, int, int]]] = [[] for _ in range(rows)]
    for row, first, last, label in found.tolist():
        entities[row].append((first, last, label))
    return [sorted(some) for some in entities]


def _answers(before: Ints, after: Ints, part: Part) -> tuple[Disagreement, ...]:
    found = []
    for row in np.flatnonzero((before != after).any(axis=1)).tolist():
        example = part.split.examples[row]
        told = [example.context[slice(*side[row].tolist())] or _NOTHING for side in (before, after)]
        right = " / ".join(dict.fromkeys(text for text, _ in example.answers)) or _NOTHING
        found.append((example.question, right, *told))
    return _chosen(found)


def _chosen(found: Sequence[tuple[str, ...]]) -> tuple[Disagreement, ...]:
    ordered = sorted(found, key=lambda one: one[2] != one[1])  # right before, and no more
    return tuple(
        Disagreement(text=text[:_LONGEST], right=right, before=before, after=after)
        for text, right, before, after in ordered[:_MOST]
    )
