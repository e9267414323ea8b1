"""The nouns of data: a raw row, an example of a task, a split of examples.

Readers give rows and know no task; each task maps rows to its own kind of example. A new task
adds an example type beside these, a mapping like ``text.py``, and a line in ``kinds.py``; readers,
splits and digests serve it unchanged.

Promise: an example always knows where it came from, and a split's digest depends on the content
and order of its examples and on nothing else (not on paths, formats or machines).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from penjing.core.files import canonical_json


@dataclass(frozen=True, slots=True)
class Row:
    """One record as it stands in a source.

    Attributes:
        fields: column name → value; text formats give strings, the others what they hold.
        origin: ``file:line`` (or ``file:row`` where a format has no lines), for messages.
    """

    fields: Mapping[str, object]
    origin: str


class Example(Protocol):
    """What any task's example can do."""

    @property
    def origin(self) -> str:
        """Where it came from, as ``file:line``."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that it is about: what makes two examples the same."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label it carries, repeats included."""

    @property
    def strata(self) -> tuple[str, ...]:
        """The groups that shares are kept of when rows are held out; empty where there are none."""

    def content(self) -> list[object]:
        """What it says, as JSON data, without its origin."""


@dataclass(frozen=True, slots=True)
class TextExample:
    """A text, or a pair of texts, with its label.

    Attributes:
        text: never blank once loaded.
        label: class name; None where a source has no label for it.
        origin: ``file:line``.
        pair: the second text of a pair (premise and hypothesis, two questions), or None.
    """

    text: str
    label: str | None
    origin: str
    pair: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return (self.text,) if self.pair is None else (self.text, self.pair)

    @property
    def labels(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return () if self.label is None else (self.label,)

    @property
    def strata(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return self.labels

    def content(self) -> list[object]:
        """Text, pair and label."""
        return [self.text, self.pair, self.label]


@dataclass(frozen=True, slots=True)
class TaggedExample:
    """A text, its words, and the entities in it.

    Attributes:
        text: never blank once loaded.
        words: (begin, end) of each word, in characters of ``text``, ascending and apart.
        entities: (first word, word after the last, label) of each, ascending and apart.
        origin: ``file:line``.
    """

    text: str
    words: tuple[tuple[int, int], ...]
    entities: tuple[tuple[int, int, str], ...]
    origin: str

    @property
    def texts(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return (self.text,)

    @property
    def labels(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return tuple(label for _, _, label in self.entities)

    @property
    def strata(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return ()

    def content(self) -> list[object]:
        """Text, words and entities."""
        return [self.text, [list(word) for word in self.words], [list(one) for one in self.entities]]


@dataclass(frozen=True, slots=True)
class PairExample:
    """Two texts, or one, and a number: how alike they are, or whatever a regression is to tell.

    Attributes:
        text: never blank once loaded.
        pair: the second text; None where the source has texts alone.
        score: the number; None where the source has none: its pairs then mean the same.
        origin: ``file:line``.
    """

    text: str
    pair: str | None
    score: float | None
    origin: str

    @property
    def texts(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return (self.text,) if self.pair is None else (self.text, self.pair)

    @property
    def labels(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return ()

    @property
    def strata(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return ()

    def content(self) -> list[object]:
        """Both texts and the score."""
        return [self.text, self.pair, self.score]


@dataclass(frozen=True, slots=True)
class QuestionExample:
    """A question about a context, and what answers it.

    Attributes:
        id: as the source has it; its origin where it has none.
        question, context: never blank once loaded.
        answers: (text, its first character in the context) of each that is right; the place is None where the
            context does not hold it, and it then only counts when answers are judged. Empty: the context
            holds no answer.
        origin: ``file:line``.
    """

    id: str
    question: str
    context: str
    answers: tuple[tuple[str, int | None], ...]
    origin: str

    @property
    def texts(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return (self.question, self.context)

    @property
    def labels(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return ()

    @property
    def strata(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return ()

    def content(self) -> list[object]:
        """Question, context and answers."""
        return [self.question, self.context, [list(answer) for answer in self.answers]]


@dataclass(frozen=True, slots=True)
class GenerationExample:
    """A text; a prompt and what should follow it; or a conversation.

    Attributes:
        text: the whole of a plain text, or the completion; empty for a conversation.
        prompt: what the completion follows; None for a plain text.
        messages: (role, content) of each turn of a conversation.
        origin: ``file:line``.
    """

    text: str
    prompt: str | None
    messages: tuple[tuple[str, str], ...]
    origin: str

    @property
    def texts(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        if self.messages:
            return tuple(content for _, content in self.messages)
        return (self.text,) if self.prompt is None else (self.prompt, self.text)

    @property
    def labels(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return ()

    @property
    def strata(self) -> tuple[str, ...]:
        """See :class:`Example`."""
        return ()

    def content(self) -> list[object]:
        """Text, prompt and turns."""
        return [self.text, self.prompt, [list(turn) for turn in self.messages]]


E = TypeVar("E", bound=Example, covariant=True)
Kind = TypeVar("Kind", bound=Example)


@dataclass(frozen=True, slots=True)
class Split(Generic[E]):
    """Examples with one role, and what identifies them.

    Attributes:
        name: ``train``, ``validation`` or ``test``.
        source: as the recipe named it.
        examples: in source order; a tuple, or on the disk where they are many.
        sha256: digest of the examples' content and order.
        out_of_scope: the label of texts that belong to none of the others; None where there is none.
    """

    name: str
    source: str
    examples: Sequence[E]
    sha256: str
    out_of_scope: str | None = None

    @property
    def rows(self) -> int:
        """How many examples there are."""
        return len(self.examples)


def make_split(name: str, source: str, examples: Iterable[E], *, out_of_scope: str | None = None) -> Split[E]:
    """A split with its digest taken."""
    is_ready = isinstance(examples, Sequence) and not isinstance(examples, list)  # a tuple, or on the disk
    held: Sequence[E] = examples if is_ready else tuple(examples)  # type: ignore[assignment]
    return Split(name, source, held, content_digest(held), out_of_scope)


def content_digest(examples: Iterable[Example]) -> str:
    """Hex SHA-256 over the content of each example, in order."""
    hasher = hashlib.sha256()
    for example in examples:
        hasher.update(canonical_json(example.content()) + b"\n")
    return hasher.hexdigest()
