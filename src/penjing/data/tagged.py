"""From rows to token-classification examples: words with tags, or texts with spans.

Read are

* ``words`` and ``tags``, two lists of one length (CoNLL files, ``datasets``);
* ``text`` and a list of spans, each ``[begin, end, label]`` or ``{"start", "end", "label"}``, in
  characters, the end not included;
* ``text`` and ``{label: {surface: [[first, last], …]}}``, as CLUENER writes it, the last included.

Promise: an entity begins and ends with whole words, or the row is refused, widened or left out as
the recipe says; nothing is shifted in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from penjing.core.errors import DataError
from penjing.data.columns import TEXT_NAMES, choose_column
from penjing.data.examples import Row, TaggedExample
from penjing.data.recipe import DataRecipe
from penjing.data.text import Intake, text_value
from penjing.tokens.tagging import Entity, entities_of
from penjing.tokens.words import stands_alone, words_of

WORD_NAMES = ("words", "tokens")
TAG_NAMES = ("tags", "ner_tags", "ner", "labels", "tag")
SPAN_NAMES = ("spans", "entities", "label", "labels", "ner")


class _Columns(NamedTuple):
    """Where words and tags, or text and spans, stand."""

    text: str
    marks: str
    by_word: bool


class _Span(NamedTuple):
    begin: int
    end: int
    label: str


def take_tagged_rows(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Intake[TaggedExample]:
    """Read every row into an example, or note why not.

    Raises:
        DataError: no rows, columns that cannot be settled, tags of no scheme, spans outside their
            text, or what the recipe says is an error.
    """
    intake: Intake[TaggedExample] = Intake()
    columns: _Columns | None = None
    for row in rows:
        columns = columns or _choose(row, source, recipe)
        example = _example(row, columns, recipe)
        if example is None:
            intake.misaligned.append(row.origin)
        elif not example.words:
            intake.blank.append(row.origin)
        else:
            intake.examples.append(example)
    if columns is None:
        raise DataError(f"{source} has no rows", expected="sentences with their entities")
    intake.refuse_blank(source, recipe)
    if not intake.examples:
        raise DataError(f"{source} has no row that can be used", expected="sentences with their entities")
    return intake


def check_tagged(examples: Sequence[TaggedExample], source: str) -> None:
    """Refuse data without an entity.

    Raises:
        DataError: there is none.
    """
    if not any(example.entities for example in examples):
        raise DataError(
            f"no row of {source} has an entity",
            expected="some words with a tag other than O",
            do="Check that tags: (or label:) names the right column.",
        )


def _choose(row: Row, source: str, recipe: DataRecipe) -> _Columns:
    names = list(row.fields)
    by_word = recipe.words is not None or (
        recipe.text is None and any(name.strip().casefold() in WORD_NAMES for name in names)
    )
    if by_word:
        words = choose_column(names, source, what="words", named=recipe.words, usual=WORD_NAMES)
        return _Columns(words, _marks(names, source, "tags", recipe.tags, TAG_NAMES), by_word=True)
    text = choose_column(names, source, what="text", named=recipe.text, usual=TEXT_NAMES)
    return _Columns(text, _marks(names, source, "label", recipe.label, SPAN_NAMES), by_word=False)


def _marks(names: Sequence[str], source: str, what: str, named: str | None, usual: Sequence[str]) -> str:
    """The column named, or the first usual one: datasets have ``tags`` of several kinds side by side."""
    if named is None:
        folded = {name.strip().casefold(): name for name in names}
        named = next((folded[name] for name in usual if name in folded), None)
    return choose_column(names, source, what=what, named=named, usual=usual)


def _example(row: Row, columns: _Columns, recipe: DataRecipe) -> TaggedExample | None:
    if columns.by_word:
        return _from_words(row, columns)
    text = text_value(row, columns.text)
    words = words_of(text)
    entities = _on_words(list(_spans(row, columns.marks, text)), words, row, policy=recipe.on_misaligned)
    return None if entities is None else TaggedExample(text, words, tuple(entities), row.origin)


def _from_words(row: Row, columns: _Columns) -> TaggedExample:
    words, tags = (_strings(row, name) for name in (columns.text, columns.marks))
    if len(words) != len(tags):
        raise DataError(f"{row.origin} has {len(words)} words and {len(tags)} tags", expected="a tag for each word")
    kept = [(word.strip(), tag) for word, tag in zip(words, tags, strict=True) if word.strip()]
    try:
        entities = entities_of([tag for _, tag in kept])
    except ValueError as error:
        raise DataError(
            f"{row.origin}: {error}", expected="O, or a prefix and a label such as B-PER (BIO, BIOES, BILOU)"
        ) from error
    text, places = _joined([word for word, _ in kept])
    return TaggedExample(text, places, tuple(entities), row.origin)


def _strings(row: Row, column: str) -> list[str]:
    value = row.fields.get(column)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise DataError(f"{row.origin}: column {column!r} holds no list of strings", expected="one string a word")
    try:
        "".join(value).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{row.origin}: column {column!r} holds half a surrogate pair") from error
    return value


def _joined(words: Sequence[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """One text of words, with a space between two unless both are Chinese or kana; and where each stands."""
    text, places = "", []
    for word in words:
        if text and not (stands_alone(text[-1]) and stands_alone(word[0])):
            text += " "
        places.append((len(text), len(text) + len(word)))
        text += word
    return text, tuple(places)


def _spans(row: Row, column: str, text: str) -> Iterator[_Span]:
    value = row.fields.get(column)
    for begin, end, label in _listed(value, row, column):
        if not isinstance(label, str) or not label.strip() or type(begin) is not int or type(end) is not int:
            raise _odd_span(row, [begin, end, label])
        if not 0 <= begin < end <= len(text):
            raise DataError(
                f"{row.origin}: the {label} span {begin} to {end} is outside its text",
                expected=f"0 ≤ begin < end ≤ {len(text)}, in characters",
            )
        inner = text[begin:end]
        begin += len(inner) - len(inner.lstrip())
        if inner.strip():
            yield _Span(begin, begin + len(inner.strip()), label.strip())


def _listed(value: Any, row: Row, column: str) -> Iterator[tuple[Any, Any, Any]]:
    if value is None:
        return
    if isinstance(value, Mapping):
        yield from _cluener(value, row)
        return
    if not isinstance(value, list):
        raise DataError(f"{row.origin}: column {column!r} holds a {type(value).__name__}", expected="a list of spans")
    for span in value:
        if isinstance(span, Mapping) and "start" in span and "end" in span:
            names = [name for name in ("label", "type", "entity_group", "entity") if name in span]
            yield span["start"], span["end"], span[names[0]] if names else None
        elif isinstance(span, list | tuple) and len(span) == 3:
            yield span[0], span[1], span[2]
        else:
            raise _odd_span(row, span)


def _cluener(value: Mapping[Any, Any], row: Row) -> Iterator[tuple[Any, Any, Any]]:
    for label, surfaces in value.items():
        if not isinstance(surfaces, Mapping):
            raise _odd_span(row, {label: surfaces})
        for places in surfaces.values():
            for place in places if isinstance(places, list) else [places]:
                if not isinstance(place, list) or len(place) != 2 or type(place[1]) is not int:
                    raise _odd_span(row, place)
                yield place[0], place[1] + 1, label


def _on_words(spans: list[_Span], words: tuple[tuple[int, int], ...], row: Row, *, policy: str) -> list[Entity] | None:
    """Spans as entities over words, or None to leave the row out."""
    found: list[Entity] = []
    for span in sorted(set(spans), key=lambda one: (one.begin, -one.end)):
        inside = [at for at, (begin, end) in enumerate(words) if begin < span.end and end > span.begin]
        exact = bool(inside) and words[inside[0]][0] == span.begin and words[inside[-1]][1] == span.end
        apart = not found or inside[0] >= found[-1][1]
        if not (exact and apart):
            if policy == "error":
                raise _misaligned(row, span, overlaps=exact)
            if policy == "drop":
                return None
            if not apart:
                continue  # the one before began earlier or is longer
        found.append((inside[0], inside[-1] + 1, span.label))
    return found


def _odd_span(row: Row, span: object) -> DataError:
    return DataError(
        f"{row.origin} has the span {str(span)[:80]}",
        expected='[begin, end, label] or {"start": …, "end": …, "label": …} with whole numbers',
    )


def _misaligned(row: Row, span: _Span, *, overlaps: bool) -> DataError:
    how = "overlaps another entity" if overlaps else "begins or ends inside a word"
    return DataError(
        f"{row.origin}: the {span.label} entity at {span.begin} to {span.end} {how}",
        expected="entities of whole words, apart from each other",
        do="Correct it, or set on_misaligned: widen to take whole words, on_misaligned: drop to leave such rows out.",
    )
