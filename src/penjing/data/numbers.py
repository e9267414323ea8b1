"""From rows to texts, or pairs of texts, with a number each: what a regression learns from.

Promise: a row is either an example or counted with its reason; a number is finite and within float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from penjing.core.errors import DataError
from penjing.data.columns import LABEL_NAMES, TextColumns, choose_column, choose_texts
from penjing.data.examples import PairExample, Row
from penjing.data.pairs import SCORE_NAMES
from penjing.data.recipe import DataRecipe
from penjing.data.text import Intake, is_blank, label_value, take_each, texts_value

NUMBER_NAMES = tuple(dict.fromkeys((*SCORE_NAMES, *LABEL_NAMES, "rating", "value", "number")))
_LARGEST = float(np.finfo(np.float32).max)


def take_number_rows(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Intake[PairExample]:
    """Read every row into an example, or note why not.

    Raises:
        DataError: no rows, columns that cannot be settled, values that are not text, or no numbers, or rows
            left out where the recipe says that is an error.
    """

    def choose(columns: Sequence[str]) -> TextColumns:
        text, pair = choose_texts(columns, source, text=recipe.text, pair=recipe.pair)
        label = choose_column(columns, source, what="label", named=recipe.label, usual=NUMBER_NAMES)
        return TextColumns(text, label, pair)

    return take_each(rows, source, recipe, choose=choose, take=_take)


def check_numbers(examples: Sequence[PairExample], source: str) -> None:
    """Raise DataError if all training rows have one and the same number."""
    numbers = {example.score for example in examples}
    if len(numbers) < 2:
        raise DataError(
            f"every row of {source} has the number {next(iter(numbers))}",
            expected="numbers that differ",
            do="Check that label: names the right column and that the file is not cut off.",
        )


def _take(row: Row, columns: TextColumns, intake: Intake[PairExample]) -> None:
    text, pair = texts_value(row, columns.text, columns.pair)
    written = label_value(row, columns.label)
    if is_blank(text, pair):
        intake.blank.append(row.origin)
    elif written is None:
        intake.unlabelled.append(row.origin)
    else:
        intake.examples.append(PairExample(text, pair, _number(written, row, columns), row.origin))


def _number(written: str, row: Row, columns: TextColumns) -> float:
    try:
        number = float(written)
    except ValueError:
        number = np.nan
    if not abs(number) <= _LARGEST:  # false of NaN, too
        raise DataError(
            f"{row.origin}: column {columns.label!r} holds {written[:40]!r}",
            expected="a finite number, with a point for decimals",
            do="Set label: to the column of numbers, or correct the row.",
        )
    return number
