"""From rows to questions about contexts, with their answers.

Read are rows of ``question``, ``context`` and

* ``answers``: a list of ``{"text", "answer_start"}`` (SQuAD's files), or one ``{"text": […],
  "answer_start": […]}`` (``datasets``); empty where the context holds no answer;
* or ``answer`` and ``answer_start``; a blank ``answer`` is none.

Promise: an answer stands in its context where it says, or the row is refused, mended or left out as the
recipe says; nothing is shifted in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from penjing.core.errors import DataError
from penjing.data.columns import choose_column
from penjing.data.examples import QuestionExample, Row
from penjing.data.recipe import DataRecipe
from penjing.data.text import Intake, text_value

QUESTION_NAMES = ("question", "query")
CONTEXT_NAMES = ("context", "passage", "paragraph", "document", "text")
ANSWER_NAMES = ("answers", "answer")
_START = "answer_start"


class _Columns(NamedTuple):
    question: str
    context: str
    answers: str | None


class _Answer(NamedTuple):
    text: str
    start: int


def take_question_rows(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Intake[QuestionExample]:
    """Read every row into an example, or note why not.

    Raises:
        DataError: no rows, columns that cannot be settled, answers that are none, one id for two questions,
            or what the recipe says is an error.
    """
    intake: Intake[QuestionExample] = Intake()
    columns: _Columns | None = None
    for row in rows:
        columns = columns or _choose(row, source, recipe, with_answers=True)
        _take(row, columns, intake, policy=recipe.on_misaligned)
    _refuse_shared_ids(intake.examples)
    if columns is None:
        raise DataError(f"{source} has no rows", expected="questions with their contexts and answers")
    intake.refuse_left_out(source, recipe)
    if not intake.examples:
        raise DataError(f"{source} has no row that can be used", expected="questions with their contexts and answers")
    return intake


def unanswered_questions(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Iterator[QuestionExample]:
    """Questions with their contexts, one at a time, blank ones included, for prediction.

    Raises:
        DataError: the columns cannot be settled, or a value is not text.
    """
    columns: _Columns | None = None
    for row in rows:
        columns = columns or _choose(row, source, recipe, with_answers=False)
        question, context = text_value(row, columns.question), text_value(row, columns.context)
        yield QuestionExample(_id(row), question, context, (), row.origin)


def check_questions(examples: Sequence[QuestionExample], source: str) -> None:
    """Refuse data that has nothing to point at.

    Raises:
        DataError: no answer stands in its context.
    """
    if not any(start is not None for example in examples for _, start in example.answers):
        raise DataError(
            f"no row of {source} has an answer that stands in its context",
            expected="answers that are parts of their contexts",
            do="Check that question:, context: and answers: name the right columns.",
        )


def _refuse_shared_ids(examples: Sequence[QuestionExample]) -> None:
    """One id for two questions says that rows were mixed up; a row that comes twice is only a repeat."""
    earlier: dict[str, QuestionExample] = {}
    for example in examples:
        first = earlier.setdefault(example.id, example)
        if first.texts != example.texts:
            apart = next(pair for pair in zip(first.texts, example.texts, strict=True) if pair[0] != pair[1])
            raise DataError(
                f"{example.origin} has the id {example.id!r} of an earlier row, and is another question: "
                f"{apart[0][:40]!r} there, {apart[1][:40]!r} here",
                expected="an id of its own for each question",
                do="Correct it, or leave the ids out.",
            )


def context_of(example: QuestionExample) -> tuple[str, ...]:
    """What may stand in one split only: several questions share it."""
    return (example.context,)


def _choose(row: Row, source: str, recipe: DataRecipe, *, with_answers: bool) -> _Columns:
    names = list(row.fields)
    question = choose_column(names, source, what="question", named=recipe.question, usual=QUESTION_NAMES)
    context = _first(names, source, "context", recipe.context, CONTEXT_NAMES)
    answers = _first(names, source, "answers", recipe.answers, ANSWER_NAMES) if with_answers else None
    return _Columns(question, context, answers)


def _first(names: Sequence[str], source: str, what: str, named: str | None, usual: Sequence[str]) -> str:
    """The column named, or that of the first usual name there is."""
    if named is None:
        folded = {name.strip().casefold(): name for name in names}
        named = next((folded[name] for name in usual if name in folded), None)
    return choose_column(names, source, what=what, named=named, usual=usual)


def _take(row: Row, columns: _Columns, intake: Intake[QuestionExample], *, policy: str) -> None:
    question, context = text_value(row, columns.question), text_value(row, columns.context)
    answers = _answers(row, str(columns.answers))
    if not question.strip() or not context.strip():
        intake.blank.append(row.origin)
        return
    if answers is None:
        intake.unlabelled.append(row.origin)
        return
    placed = [(one.text, _place(one, context)) for one in answers]
    astray = [one for one, (_, start) in zip(answers, placed, strict=True) if start != one.start]
    if astray and policy == "error":
        raise _misaligned(row, astray[0], context)
    if astray and policy == "drop":
        intake.misaligned.append(row.origin)
        return
    if astray:
        intake.mended.append(row.origin)
    intake.examples.append(QuestionExample(_id(row), question, context, tuple(placed), row.origin))


def _id(row: Row) -> str:
    value = row.fields.get("id")
    return str(value) if isinstance(value, str | int) and str(value) else row.origin


def _place(answer: _Answer, context: str) -> int | None:
    """Where the answer stands: where it says, else the nearest place that holds it, else None."""
    if answer.start >= 0 and context.startswith(answer.text, answer.start):
        return answer.start
    at = max(0, answer.start)
    after = context.find(answer.text, at)
    before = context.rfind(answer.text, 0, at + len(answer.text))
    found = [place for place in (before, after) if place >= 0]
    return min(found, key=lambda place: abs(place - at)) if found else None


def _answers(row: Row, column: str) -> list[_Answer] | None:
    """The answers of a row; empty where there is none to find, None where the row does not tell."""
    value = row.fields.get(column)
    if isinstance(value, str) or (value is None and _START in row.fields):
        return _single(row, column)
    if value is None:
        return None
    pairs = _listed(value, row, column)
    return [_Answer(_text(text, row), _whole(start, row)) for text, start in pairs if not _is_blank(text)]


def _single(row: Row, column: str) -> list[_Answer]:
    text = text_value(row, column)
    return [] if not text.strip() else [_Answer(text, _whole(row.fields.get(_START), row))]


def _listed(value: Any, row: Row, column: str) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping) and {"text", _START} <= set(value):
        texts, starts = value["text"], value[_START]
        if isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts):
            return list(zip(texts, starts, strict=True))
        if isinstance(texts, str):
            return [(texts, starts)]
    if isinstance(value, list) and all(isinstance(one, Mapping) and {"text", _START} <= set(one) for one in value):
        return [(one["text"], one[_START]) for one in value]
    raise DataError(
        f"{row.origin}: column {column!r} holds {str(value)[:80]}",
        expected='[{"text": "…", "answer_start": 0}] or {"text": ["…"], "answer_start": [0]}; empty for no answer',
    )


def _is_blank(text: object) -> bool:
    return isinstance(text, str) and not text.strip()


def _text(value: object, row: Row) -> str:
    return text_value(Row({"text": value}, row.origin), "text")


def _whole(value: object, row: Row) -> int:
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal():
        value = int(value)
    if type(value) is not int:
        raise DataError(
            f"{row.origin} has the {_START} {value!r}", expected="the answer's first character, counted from 0"
        )
    return value


def _misaligned(row: Row, answer: _Answer, context: str) -> DataError:
    stands = context[max(0, answer.start) : max(0, answer.start) + len(answer.text)]
    return DataError(
        f"{row.origin}: the answer {answer.text[:40]!r} is said to begin at {answer.start}; "
        f"there stands {stands[:40]!r}",
        expected="answers that are parts of their contexts, in characters",
        do="Correct it, or set on_misaligned: widen to take the nearest place that holds it, "
        "on_misaligned: drop to leave such rows out.",
    )
