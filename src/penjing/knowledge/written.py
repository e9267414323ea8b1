"""What a model that writes is asked, and what came of it. See :mod:`penjing.knowledge.generating`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from penjing.knowledge.keeping import Passage

STOPS = ("\n",)  # of a model without a chat template, which would go on with questions of its own


class Writer(Protocol):
    """A model that writes, as a knowledge base asks it.

    Attributes:
        reference: of its version.
        marks: texts that its tokenizer takes for tokens of their own, such as the end of a turn.
    """

    reference: str
    marks: frozenset[str]

    async def room(self, request: str) -> int:
        """Tokens that an answer to a user's turn may have; below 1 if there is no room for one."""

    async def write(self, request: str, *, max_tokens: int) -> Wording:
        """The most probable answer to a user's turn."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What a model wrote.

    Attributes:
        text: without the request.
        finish: ``stop``: the model ended it; ``length``: no more tokens were allowed.
    """

    text: str
    finish: Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that an answer was written from.

    Attributes:
        passage: where it stands.
        share: of the answer's content words that stand in it.
    """

    passage: Passage
    share: float


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer in sentences.

    Attributes:
        text: as the model wrote it.
        is_grounded: whether enough of its words, and every number, stand in the passages.
        holds_answer: whether it says what the base answers: the words of the cited span or stored answer.
        grounding: share of its content words that stand in the passages.
        missing: those that do not.
        sources: the passages that hold the others, the one with most first.
        left_out: passages that the model had no room for.
        finish: see :class:`Wording`.
        model: that wrote it.
    """

    text: str
    is_grounded: bool
    holds_answer: bool
    grounding: float
    missing: tuple[str, ...]
    sources: tuple[Source, ...]
    left_out: int
    finish: Literal["stop", "length"]
    model: str

    @property
    def answer(self) -> str | None:
        """The text, where it is grounded and holds the base's answer."""
        return self.text if self.is_grounded and self.holds_answer else None
