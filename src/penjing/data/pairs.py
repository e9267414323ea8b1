"""From rows to pairs of texts that mean the same, or as nearly so as their score says; or to texts alone.

Promise: a row is either an example or counted with its reason; texts are left as they are; either all
rows of a source have a second text, or none; the same for scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penjing.core.errors import DataError
from penjing.data.columns import choose_column, choose_texts
from penjing.data.examples import PairExample, Row
from penjing.data.recipe import DataRecipe
from penjing.data.text import Intake, label_value, text_value

SCORE_NAMES = ("score", "similarity", "similarity_score", "label")


@dataclass(frozen=True, slots=True)
class _Columns:
    text: str
    pair: str | None
    score: str | None


def take_pair_rows(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Intake[PairExample]:
    """Read every row into an example, or note why not.

    Raises:
        DataError: no rows, columns that cannot be settled, values that are not text, scores that are no
            numbers, or rows left out where the recipe says that is an error.
    """
    intake: Intake[PairExample] = Intake()
    columns: _Columns | None = None
    for row in rows:
        columns = columns or _choose(list(row.fields), source, recipe)
        _take(row, columns, intake)
    if columns is None:
        raise DataError(f"{source} has no rows", expected="texts, or pairs of texts")
    intake.refuse_left_out(source, recipe)
    if not intake.examples:
        raise DataError(f"{source} has no usable row", expected="texts, or pairs of texts")
    return intake


def check_pairs(examples: Sequence[PairExample], source: str) -> None:
    """Raise DataError if all pairs have one and the same score."""
    scores = {example.score for example in examples}
    if len(examples) > 1 and len(scores) == 1 and None not in scores:
        raise DataError(
            f"every pair of {source} has the score {next(iter(scores))}",
            expected="scores that differ, or none",
            do="Leave the column of scores out: pairs without any are taken as meaning the same.",
        )


def _choose(columns: Sequence[str], source: str, recipe: DataRecipe) -> _Columns:
    text, pair = choose_texts(columns, source, text=recipe.text, pair=recipe.pair)
    if pair is None:
        return _Columns(text, None, None)
    usual = [column for column in columns if column.strip().casefold() in SCORE_NAMES]
    if recipe.label is None and not usual:
        return _Columns(text, pair, None)
    return _Columns(text, pair, choose_column(columns, source, what="label", named=recipe.label, usual=SCORE_NAMES))


def _take(row: Row, columns: _Columns, intake: Intake[PairExample]) -> None:
    text = text_value(row, columns.text)
    pair = text_value(row, columns.pair) if columns.pair else None
    score = label_value(row, columns.score) if columns.score else None
    if not text.strip() or (pair is not None and not pair.strip()):
        intake.blank.append(row.origin)
    elif columns.score and score is None:
        intake.unlabelled.append(row.origin)
    else:
        intake.examples.append(PairExample(text, pair, _number(score, row, columns), row.origin))


def _number(score: str | None, row: Row, columns: _Columns) -> float | None:
    if score is None:
        return None
    try:
        number = float(score)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            f"{row.origin}: column {columns.score!r} holds {score[:40]!r}",
            expected="a number that says how alike the texts are",
            do="Set label: to the column of scores, or leave the column out if every pair means the same.",
        )
    return number
