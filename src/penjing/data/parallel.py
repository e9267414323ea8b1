"""From rows to texts and their translations.

Promise: a row is either an example or counted with its reason; texts are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from penjing.core.errors import DataError
from penjing.data.columns import choose_column
from penjing.data.examples import Row
from penjing.data.recipe import DataRecipe
from penjing.data.text import Intake, text_value

SOURCE_NAMES = ("source", "src")
TARGET_NAMES = ("target", "tgt", "translation")
_NESTED = "translation"  # {"translation": {"en": …, "de": …}}, the form of many hub data sets


@dataclass(frozen=True, slots=True)
class ParallelExample:
    """A text and its translation.

    Attributes:
        source, target: never blank once loaded; ``target`` is empty where a text is to be translated.
        origin: ``file:line``.
    """

    source: str
    target: str
    origin: str

    @property
    def texts(self) -> tuple[str, ...]:
        """See :class:`penjing.data.examples.Example`."""
        return (self.source, self.target)

    @property
    def labels(self) -> tuple[str, ...]:
        """See :class:`penjing.data.examples.Example`."""
        return ()

    @property
    def strata(self) -> tuple[str, ...]:
        """See :class:`penjing.data.examples.Example`."""
        return ()

    def content(self) -> list[object]:
        """Text and translation."""
        return [self.source, self.target]


def take_parallel_rows(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Intake[ParallelExample]:
    """Read every row into an example, or note why not.

    Raises:
        DataError: no rows, columns that cannot be settled, values that are not text, or rows left out where the
            recipe says that is an error.
    """
    intake: Intake[ParallelExample] = Intake()
    columns: tuple[str, str] | None = None
    for row in map(_unnested, rows):
        columns = columns or _choose(list(row.fields), source, recipe)
        text, translation = (text_value(row, column) for column in columns)
        if not text.strip() or not translation.strip():
            intake.blank.append(row.origin)
        else:
            intake.examples.append(ParallelExample(text, translation, row.origin))
    if columns is None:
        raise DataError(f"{source} has no rows", expected="texts and their translations")
    intake.refuse_blank(source, recipe)
    if not intake.examples:
        raise DataError(f"{source} has no row with a text and its translation", expected="parallel texts")
    return intake


def check_parallel(examples: Sequence[ParallelExample], source: str) -> None:
    """Raise DataError if every translation is its text: two columns of one language, most likely."""
    if len(examples) > 1 and all(one.source.strip() == one.target.strip() for one in examples):
        raise DataError(
            f"every translation in {source} is the text itself",
            expected="two languages",
            do="Set text: and pair: to the two columns.",
        )


def untranslated_texts(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Iterator[ParallelExample]:
    """Texts alone, one at a time, blank ones included, for prediction."""
    column: str | None = None
    for row in map(_unnested, rows):
        column = column or _source_column(list(row.fields), source, recipe)
        yield ParallelExample(text_value(row, column), "", row.origin)


def source_of(example: ParallelExample) -> tuple[str, ...]:
    """The text alone: its translations in two splits would be a leak, however they differ."""
    return (example.source,)


def _choose(columns: Sequence[str], source: str, recipe: DataRecipe) -> tuple[str, str]:
    first = _source_column(columns, source, recipe)
    return first, choose_column(columns, source, what="pair", named=recipe.pair, usual=TARGET_NAMES)


def _source_column(columns: Sequence[str], source: str, recipe: DataRecipe) -> str:
    names = SOURCE_NAMES if any(one.strip().casefold() in SOURCE_NAMES for one in columns) else ("text", "sentence")
    return choose_column(columns, source, what="text", named=recipe.text, usual=names)


def _unnested(row: Row) -> Row:
    inner = row.fields.get(_NESTED)
    return Row(inner, row.origin) if isinstance(inner, Mapping) else row
