"""``penjing knowledge calibrate``: figures that make a base's confidences fit how often its answers are right.

Promise: what is told of the fit is measured on questions that the fit did not see: half of them fit, the other half
judge; only then is it made anew from all, and kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.app.knowledge import Knowledge
from penjing.core.errors import DataError, UsageError
from penjing.core.progress import SILENT, Progress
from penjing.evaluate.answer_match import match
from penjing.knowledge.adding import CALIBRATION
from penjing.knowledge.asking import Option, ordered
from penjing.knowledge.confidence import Calibration, leads, logistic

Floats = npt.NDArray[np.float64]
_RIGHT_F1 = 0.5  # an answer that shares so much with a right one counts as right
_FEWEST = 20
_BINS = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what may be answered; no answers where the base holds none."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How well confidences fit, on the half of the questions that did not fit them.

    Attributes:
        questions: of both halves.
        threshold: that is kept.
        answered: share of questions that get an answer.
        right: share of those whose answer is right.
        refused: share of the questions without an answer that get none; None where there are none.
        error: expected calibration error.
    """

    questions: int
    threshold: float
    answered: float
    right: float
    refused: float | None
    error: float


def calibrate(opened: Knowledge, asked: Sequence[Asked], *, progress: Progress = SILENT) -> Calibrated:
    """Fit confidences to a base and its models, and keep the figures in the base.

    Args:
        opened: with a reader.
        asked: at least 20 questions; some of them without an answer, or the base will seem surer than it is.
        progress: where to show it.

    Raises:
        UsageError: no reader, or too few questions.
    """
    if opened.told.reader is None:
        raise UsageError("the knowledge base has no reader to calibrate", expected="--reader NAME")
    if len(asked) < _FEWEST:
        raise UsageError(f"{len(asked)} questions", expected=f"at least {_FEWEST}")
    with progress.stage("Asking", total=len(asked)) as stage:
        taken = []
        for one in asked:
            taken.append(_Taken.of(one, opened.options(one.question)))
            stage.advance()
    half = _fitted(taken[::2])
    report = _judged(taken[1::2], half, questions=len(asked))
    figures = replace(_fitted(taken), of=opened.calibrated_with)
    opened.base.keep({CALIBRATION: asdict(figures)})
    return replace(report, threshold=figures.threshold)


def asked_in(path: Path) -> list[Asked]:
    """Questions with answers out of a file: SQuAD's form, or rows of ``question`` and ``answers`` or ``answer``.

    Raises:
        DataError: a row without a question.
    """
    from penjing.data.readers.options import ReadOptions
    from penjing.data.sources import read_rows

    rows = read_rows(str(path), "test", ReadOptions())
    return [Asked(_question(row.fields, row.origin), tuple(_answers(row.fields))) for row in rows]


def _question(fields: Mapping[str, Any], origin: str) -> str:
    question = fields.get("question")
    if not isinstance(question, str) or not question.strip():
        raise DataError(f"{origin} has no question", expected="the columns question and answers")
    return question


def _answers(fields: Mapping[str, Any]) -> Iterator[str]:
    told = fields.get("answers", fields.get("answer")) or ()
    told = told.get("text", ()) if isinstance(told, Mapping) else [told] if isinstance(told, str) else told
    for one in told:
        text = one.get("text", "") if isinstance(one, Mapping) else str(one)
        if text.strip():
            yield text


@dataclass(frozen=True, slots=True)
class _Taken:
    """The options of a question, and which of them are right."""

    options: list[Option]
    is_right: list[bool]
    has_answer: bool

    @classmethod
    def of(cls, asked: Asked, options: list[Option]) -> _Taken:
        right = [
            bool(asked.answers) and match(one.text, asked.answers, question=asked.question).f1 >= _RIGHT_F1
            for one in options
        ]
        return cls(options, right, bool(asked.answers))


def _fitted(taken: Sequence[_Taken]) -> Calibration:
    options = [option for one in taken for option in one.options]
    right = np.array([is_right for one in taken for is_right in one.is_right], bool)
    if not right.any() or right.all():
        raise UsageError(
            "the base answers none of the questions, or all of them, whatever it takes",
            expected="questions of which it answers some",
            do="Ask more questions, some of them about other things.",
        )
    weights = tuple(logistic(np.array([option.features for option in options]), right).tolist())
    plain = Calibration(weights=weights, scale=1.0, lead=0.0, offset=0.0)
    best, lead, is_right = _best(taken, plain)
    scale, by_lead, offset = logistic(np.column_stack([best, lead, np.ones(len(best))]), is_right).tolist()
    made = replace(plain, scale=scale, lead=by_lead, offset=offset)
    return replace(made, threshold=_threshold(_confidences(made, best, lead), is_right, _has_answer(taken)))


def _best(taken: Sequence[_Taken], figures: Calibration) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Z and lead of the best option of each question that has options, and whether it is right."""
    best, others, is_right = [], [], []
    for one in taken:
        scored = [replace(option, score=figures.score(option.features)) for option in one.options]
        if not scored:
            continue
        first, *rest = ordered(scored)
        best.append(first.score)
        others.append(rest[0].score if rest else None)
        is_right.append(one.is_right[scored.index(first)])
    return np.array(best), leads(best, others), np.array(is_right, bool)


def _has_answer(taken: Sequence[_Taken]) -> npt.NDArray[np.bool_]:
    return np.array([one.has_answer for one in taken if one.options], bool)


def _confidences(figures: Calibration, best: Floats, lead: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(figures.scale * best + figures.lead * lead + figures.offset, -30, 30)))


def _threshold(told: Floats, is_right: npt.NDArray[np.bool_], has_answer: npt.NDArray[np.bool_]) -> float:
    """Under which most questions come out well: answered rightly, or refused where there is no answer."""
    grid = np.linspace(0.05, 0.95, 19)
    well = [np.where(told >= at, is_right, ~has_answer).mean() for at in grid]
    return float(grid[int(np.argmax(well))])


def _judged(taken: Sequence[_Taken], figures: Calibration, *, questions: int) -> Calibrated:
    best, lead, is_right = _best(taken, figures)
    told, has_answer = _confidences(figures, best, lead), _has_answer(taken)
    given = told >= figures.threshold
    bins = np.minimum((told * _BINS).astype(int), _BINS - 1)
    error = sum(
        abs(told[bins == at].mean() - is_right[bins == at].mean()) * (bins == at).mean() for at in np.unique(bins)
    )
    return Calibrated(
        questions,
        figures.threshold,
        float(given.mean()),
        float(is_right[given].mean()) if given.any() else 0.0,
        None if has_answer.all() else float((~given[~has_answer]).mean()),
        float(error),
    )
