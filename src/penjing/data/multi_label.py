"""From rows to texts with any number of labels: a column of lists, or a column of zeros and ones a label.

Promise: a row is either an example or counted with its reason. A list that is empty, or a cell of a text
format that is, says that no label holds; null says that nothing is known, and such a row is unlabelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penjing.core.errors import DataError
from penjing.data.columns import LABEL_NAMES, choose_column, choose_texts
from penjing.data.examples import Row
from penjing.data.recipe import DataRecipe
from penjing.data.text import Intake, field_value, is_blank, take_each, texts_value

_TRUTHS = {"1": True, "0": False, "true": True, "false": False, "1.0": True, "0.0": False}


@dataclass(frozen=True, slots=True)
class MultiLabelExample:
    """A text, or a pair of texts, with every label that holds of it.

    Attributes:
        text: never blank once loaded.
        labels: class names, each once, by code point; empty where none holds.
        origin: ``file:line``.
        pair: the second text of a pair, or None.
    """

    text: str
    labels: tuple[str, ...]
    origin: str
    pair: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """See :class:`penjing.data.examples.Example`."""
        return (self.text,) if self.pair is None else (self.text, self.pair)

    @property
    def strata(self) -> tuple[str, ...]:
        """See :class:`penjing.data.examples.Example`."""
        return self.labels

    def content(self) -> list[object]:
        """Text, pair and labels."""
        return [self.text, self.pair, list(self.labels)]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where text and labels stand; ``each`` are columns of zeros and ones, in place of ``label``."""

    text: str
    pair: str | None
    label: str
    each: tuple[str, ...]
    separator: str | None


def take_multi_label_rows(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Intake[MultiLabelExample]:
    """Read every row into an example, or note why not.

    Raises:
        DataError: no rows, columns that cannot be settled, values that are not text, blank labels, or rows
            left out where the recipe says that is an error.
    """

    def choose(columns: Sequence[str]) -> _Columns:
        text, pair = choose_texts(columns, source, text=recipe.text, pair=recipe.pair)
        each = tuple(
            choose_column(columns, source, what="label_columns", named=one, usual=())
            for one in recipe.label_columns or ()
        )
        label = "" if each else choose_column(columns, source, what="label", named=recipe.label, usual=LABEL_NAMES)
        return _Columns(text, pair, label, each, recipe.label_separator)

    return take_each(rows, source, recipe, choose=choose, take=_take)


def check_multi_label(examples: Sequence[MultiLabelExample], source: str) -> None:
    """Raise DataError if all training rows have the same labels."""
    kinds = {example.labels for example in examples}
    if len(kinds) < 2:
        (only,) = kinds
        shown = f"the labels {', '.join(map(repr, only))}" if only else "no label"
        raise DataError(
            f"every row of {source} has {shown}",
            expected="rows with different labels",
            do="Check that label: (or label_columns:) names the right column and that the file is not cut off.",
        )


def _take(row: Row, columns: _Columns, intake: Intake[MultiLabelExample]) -> None:
    text, pair = texts_value(row, columns.text, columns.pair)
    labels = _flagged(row, columns.each) if columns.each else _listed(row, columns)
    if is_blank(text, pair):
        intake.blank.append(row.origin)
    elif labels is None:
        intake.unlabelled.append(row.origin)
    else:
        if len(set(labels)) < len(labels):
            intake.repeated.append(row.origin)
        intake.examples.append(MultiLabelExample(text, tuple(sorted(set(labels))), row.origin, pair))


def _flagged(row: Row, columns: Sequence[str]) -> list[str] | None:
    """Labels whose column says one; None where a column says nothing."""
    flags = [_truth(row, column) for column in columns]
    return None if None in flags else [column for column, flag in zip(columns, flags, strict=True) if flag]


def _truth(row: Row, column: str) -> bool | None:
    value = field_value(row, column)
    written = "" if value is None or value != value else str(value).strip().casefold()
    if written and written not in _TRUTHS:
        raise DataError(
            f"{row.origin}: column {column!r} holds {written[:40]!r}",
            expected="1 where the label holds, else 0",
            do="Leave columns that are no labels out of label_columns:.",
        )
    return _TRUTHS.get(written)


def _listed(row: Row, columns: _Columns) -> list[str] | None:
    value = field_value(row, columns.label)
    if value is None or value != value:  # NaN stands for a missing value in tables
        return None
    if isinstance(value, str):
        whole = value.strip()
        parts: list[object] = [*(whole.split(columns.separator) if columns.separator else [whole])] if whole else []
    elif isinstance(value, list | tuple):
        parts = list(value)
    else:
        parts = [value]
    return [_label(part, row, columns) for part in parts]


def _label(value: object, row: Row, columns: _Columns) -> str:
    name = str(value).strip() if isinstance(value, str | bool | int | float) and value == value else ""
    if name:
        return name
    came = "a blank label" if value is None or isinstance(value, str) else f"a {type(value).__name__} as a label"
    raise DataError(
        f"{row.origin}: column {columns.label!r} holds {came}",
        expected="a list of label names, empty where none holds",
        do="" if columns.separator is None else f"Write nothing between two {columns.separator!r} that is no label.",
    )
