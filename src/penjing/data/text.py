"""From rows to text-classification examples.

Promise: a row is either an example or counted with its reason; labels are strings as the source
writes them, without blanks around them; texts are left as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from penjing.core.errors import DataError
from penjing.data.columns import TextColumns, choose_text_columns, choose_texts
from penjing.data.examples import Kind, Row, TextExample
from penjing.data.recipe import DataRecipe
from penjing.data.shelf import Shelf

_SHOWN = 5

Columns = TypeVar("Columns")


@dataclass(slots=True)
class Intake(Generic[Kind]):
    """What came in from one source.

    Attributes:
        examples: the usable rows.
        blank, unlabelled, misaligned: origins of rows left out.
        mended: origins of rows whose answers were looked for elsewhere than where they should stand.
        repeated: origins of rows that give a label twice.
    """

    examples: Shelf[Kind] = field(default_factory=Shelf)
    blank: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    misaligned: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)

    def refuse_blank(self, source: str, recipe: DataRecipe) -> None:
        """Raise DataError if there are blank texts and the recipe does not leave them out."""
        if recipe.on_empty == "error":
            _refuse(self.blank, source, "with a blank text", "on_empty: drop")

    def refuse_left_out(self, source: str, recipe: DataRecipe) -> None:
        """Raise DataError if there are rows without a text or a label and the recipe does not leave them out."""
        self.refuse_blank(source, recipe)
        if recipe.on_unlabelled == "error":
            _refuse(self.unlabelled, source, "without a label", "on_unlabelled: drop")


def take_text_rows(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Intake[TextExample]:
    """Read every row into an example, or note why not.

    Raises:
        DataError: no rows, columns that cannot be settled, values that are not text, or rows
            left out where the recipe says that is an error.
    """

    def choose(columns: Sequence[str]) -> TextColumns:
        return choose_text_columns(columns, source, text=recipe.text, label=recipe.label, pair=recipe.pair)

    return take_each(rows, source, recipe, choose=choose, take=_take)


def take_each(
    rows: Iterator[Row],
    source: str,
    recipe: DataRecipe,
    *,
    choose: Callable[[Sequence[str]], Columns],
    take: Callable[[Row, Columns, Intake[Kind]], None],
) -> Intake[Kind]:
    """Take every row in.

    Args:
        rows: of the source.
        source: its name, for messages.
        recipe: what to do with rows that lack something.
        choose: names of the columns there are → which are wanted; asked once.
        take: puts a row's example, or why it is none, into the intake.

    Raises:
        DataError: no usable row, or rows left out where the recipe says that is an error.
    """
    intake: Intake[Kind] = Intake()
    columns: Columns | None = None
    for row in rows:
        columns = choose(list(row.fields)) if columns is None else columns
        take(row, columns, intake)
    if columns is None:
        raise DataError(f"{source} has no rows", expected="labelled texts below the header")
    intake.refuse_left_out(source, recipe)
    if not intake.examples:
        raise DataError(f"{source} has no row with both a text and a label", expected="labelled texts")
    return intake


def take_plain_rows(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Intake[TextExample]:
    """Texts alone, whatever else stands beside them. See :func:`take_text_rows`.

    Raises:
        DataError: no text, or blank ones where the recipe says that is an error.
    """
    intake: Intake[TextExample] = Intake()
    for example in unlabelled_texts(rows, source, recipe.model_copy(update={"pair": None})):
        if example.text.strip():
            intake.examples.append(TextExample(example.text, None, example.origin))
        else:
            intake.blank.append(example.origin)
    intake.refuse_blank(source, recipe)
    if not intake.examples:
        raise DataError(f"{source} has no text", expected="at least one row with some")
    return intake


def unlabelled_texts(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Iterator[TextExample]:
    """Texts alone, one at a time, blank ones included, for prediction.

    Raises:
        DataError: the text column cannot be settled, or a value is not text.
    """
    columns: tuple[str, str | None] | None = None
    for row in rows:
        columns = columns or choose_texts(list(row.fields), source, text=recipe.text, pair=recipe.pair)
        pair = text_value(row, columns[1]) if columns[1] else None
        yield TextExample(text_value(row, columns[0]), None, row.origin, pair)


def _take(row: Row, columns: TextColumns, intake: Intake[TextExample]) -> None:
    text, pair = texts_value(row, columns.text, columns.pair)
    label = label_value(row, columns.label)
    if is_blank(text, pair):
        intake.blank.append(row.origin)
    elif label is None:
        intake.unlabelled.append(row.origin)
    else:
        intake.examples.append(TextExample(text, label, row.origin, pair))


def texts_value(row: Row, text: str, pair: str | None) -> tuple[str, str | None]:
    """The text of a row, and the second one of a pair. See :func:`text_value`."""
    return text_value(row, text), text_value(row, pair) if pair else None


def is_blank(text: str, pair: str | None) -> bool:
    """Whether there is nothing to read in a text, or in one of a pair."""
    return not text.strip() or (pair is not None and not pair.strip())


def text_value(row: Row, column: str) -> str:
    """A field as text; None is the empty text.

    Raises:
        DataError: the column is absent from this row, or holds something other than valid text.
    """
    value = field_value(row, column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{row.origin}: column {column!r} holds a {type(value).__name__}", expected="text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{row.origin}: column {column!r} holds half a surrogate pair (\\u{ord(value[error.start]):04x})",
                expected="whole characters",
                do="Write the file again from the original text.",
            ) from error
    return value


def label_value(row: Row, column: str) -> str | None:
    """A field as a label: strings without blanks around them, numbers and booleans as Python prints them.

    Raises:
        DataError: the column is absent from this row, or holds a list or an object.
    """
    value = field_value(row, column)
    if value is None or value != value:  # NaN stands for a missing value in tables
        return None
    if isinstance(value, str):
        return sys.intern(text_value(row, column).strip()) or None  # one of each label, not one of each row
    if isinstance(value, bool | int | float):
        return str(value)
    raise DataError(
        f"{row.origin}: column {column!r} holds a {type(value).__name__}",
        expected="one label a row",
        do="If a text may have several labels, set problem_type: multi_label_classification.",
    )


def field_value(row: Row, column: str) -> object:
    """A field as it stands; DataError if the column is absent from this row."""
    if column not in row.fields:
        raise DataError(
            f"{row.origin} has no {column!r}; it has {', '.join(map(repr, row.fields)) or 'nothing'}",
            expected=f"{column!r} in every row",
        )
    return row.fields[column]


def _refuse(origins: list[str], source: str, what: str, instead: str) -> None:
    if origins:
        more = " …" if len(origins) > _SHOWN else ""
        raise DataError(
            f"{source} has {len(origins)} row{'s' if len(origins) > 1 else ''} {what}: "
            f"{', '.join(origins[:_SHOWN])}{more}",
            expected="none",
            do=f"Correct the source, or set {instead} to leave such rows out.",
        )
