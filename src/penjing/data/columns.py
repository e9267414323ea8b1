"""Which column is which: as the recipe names them, or by the usual names.

Promise: a column is guessed only where exactly one has a usual name; two candidates are an error
that lists the columns, never a silent choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penjing.core.errors import DataError

TEXT_NAMES = ("text", "sentence", "content", "review", "body", "message", "utterance", "comment", "document", "query")
LABEL_NAMES = ("label", "labels", "class", "category", "intent", "topic", "sentiment", "target", "tag")
PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("text", "text_pair"),
    ("anchor", "positive"),
)


@dataclass(frozen=True, slots=True)
class TextColumns:
    """Columns of a text-classification source; no ``pair`` for single texts."""

    text: str
    label: str
    pair: str | None


def choose_text_columns(
    columns: Sequence[str], origin: str, *, text: str | None, label: str | None, pair: str | None
) -> TextColumns:
    """Settle the columns of a source.

    Args:
        columns: those there are.
        origin: the source, for messages.
        text: name given by the user; None guesses.
        label: the same.
        pair: the same; guessed only together with ``text``.

    Raises:
        DataError: a named column is absent, or a guess finds none or several.
    """
    first, second = choose_texts(columns, origin, text=text, pair=pair)
    return TextColumns(first, choose_column(columns, origin, what="label", named=label, usual=LABEL_NAMES), second)


def choose_texts(columns: Sequence[str], origin: str, *, text: str | None, pair: str | None) -> tuple[str, str | None]:
    """The text column and, for pairs, the second one. See :func:`choose_text_columns`."""
    if text is None and pair is None:
        text, pair = _usual_pair(columns) or (None, None)
    return (
        choose_column(columns, origin, what="text", named=text, usual=TEXT_NAMES),
        None if pair is None else choose_column(columns, origin, what="pair", named=pair, usual=()),
    )


def choose_column(columns: Sequence[str], origin: str, *, what: str, named: str | None, usual: Sequence[str]) -> str:
    """The column that holds ``what``: ``named``, or the only one whose name is a usual one, in any case of letters."""
    if named is not None:
        if named in columns:
            return named
        raise _absent(columns, origin, f"has no column {named!r}", what)
    found = [column for column in columns if column.strip().casefold() in usual]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{origin} has {len(found)} columns that could be the {what}: {', '.join(map(repr, found))}",
            expected="one",
            do=f"Set {what}: to the right one.",
        )
    raise _absent(columns, origin, f"has no column that looks like the {what}", what)


def _usual_pair(columns: Sequence[str]) -> tuple[str, str] | None:
    by_name = {column.strip().casefold(): column for column in columns}
    found = [(by_name[a], by_name[b]) for a, b in PAIR_NAMES if a in by_name and b in by_name]
    return found[0] if len(found) == 1 else None


def _absent(columns: Sequence[str], origin: str, came: str, what: str) -> DataError:
    shown = ", ".join(repr(column[:40]) for column in columns[:20]) + (" …" if len(columns) > 20 else "")
    do = f"Set {what}: to one of them"
    if len(columns) == 1 and (marks := [mark for mark in ";\t|," if mark in columns[0]]):
        do += f", or delimiter: {marks[0]!r} if that parts the columns"
    do += ". A CSV or TSV file without a header line needs columns: [text, label]."
    return DataError(f"{origin} {came}; its columns are {shown}", expected=f"a {what} column", do=do)
