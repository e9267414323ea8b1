"""The models that a knowledge base asks, as it sees them: in this process, or in the server that runs it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from penjing.tasks.asked import Asked
from penjing.tasks.question_answering import MAX_ANSWER_TOKENS, Decoding, Ranking, ranked

Floats = npt.NDArray[np.float32]
T = TypeVar("T")
_SPANS = 5  # of a passage: the best, and what they compete with


class Models(Protocol):
    """Answers of models. All may raise what the engine or the data plane raises."""

    async def vectors(self, texts: Sequence[str]) -> Floats:
        """Of the embedding model, float32 (texts, dimensions)."""

    async def rankings(self, pairs: Sequence[tuple[str, str]]) -> list[Ranking]:
        """Of the reader: the best spans of each question's passage."""

    async def relevance(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """Of the reranker: a logit for each question and passage, float32 (pairs,)."""

    async def aside(self, work: Callable[[], T]) -> T:
        """Do something that takes a while."""


def rankings_of(asked: Asked, outputs: Floats, *, decoding: dict[str, float]) -> list[Ranking]:
    """Spans out of a reader's outputs.

    Args:
        asked: pairs of question and passage, encoded.
        outputs: a row of start and end for every token.
        decoding: the bundle's settings.
    """
    longest = int(decoding.get(MAX_ANSWER_TOKENS, Decoding().max_answer_tokens))
    found, at = [], 0
    for text, windows in zip(asked.texts, asked.windows or (), strict=True):
        lengths = [len(window) for window in windows]
        own = np.split(outputs[at : at + sum(lengths)], np.cumsum(lengths)[:-1])
        found.append(ranked(text[1], windows, own, max_answer_tokens=longest, most=_SPANS))
        at += sum(lengths)
    return found


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run what never waits, in any thread, with or without an event loop."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("the models of this process made the caller wait")
