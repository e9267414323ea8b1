"""A server's models as a knowledge base asks them, for one request: through the data plane, by its rules and limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar, final

import numpy as np
import numpy.typing as npt

from penjing.core.errors import UnsupportedError
from penjing.knowledge.models import rankings_of
from penjing.knowledge.recipe import KnowledgeRecipe
from penjing.knowledge.written import STOPS, Wording
from penjing.serve.answers import Answers
from penjing.serve.plane import DataPlane
from penjing.serve.versions import Version
from penjing.serve.writing.request import Wish
from penjing.store.references import parse_reference
from penjing.tasks.question_answering import Ranking
from penjing.tokens.encode import Text
from penjing.tokens.words import words_of

Floats = npt.NDArray[np.float32]
T = TypeVar("T")
_AT_ONCE = 64  # texts in one request to the plane, which bounds what one may have


@final
class ServedModels:
    """See the module and :class:`penjing.knowledge.models.Models`.

    Args:
        plane: whose models.
        told: which.
        deadline: of the request, on the clock of ``time.monotonic``.
    """

    def __init__(self, plane: DataPlane, told: KnowledgeRecipe, *, deadline: float) -> None:
        self._plane, self._told, self._deadline = plane, told, deadline

    async def vectors(self, texts: Sequence[str]) -> Floats:
        """See :class:`penjing.knowledge.models.Models`."""
        parts = [texts[at : at + _AT_ONCE] for at in range(0, len(texts), _AT_ONCE)]
        return np.concatenate([(await self._ask("embedder", part)).outputs for part in parts])

    async def rankings(self, pairs: Sequence[tuple[str, str]]) -> list[Ranking]:
        """See :class:`penjing.knowledge.models.Models`."""
        answers = await self._ask("reader", pairs)
        if answers.asked is None:
            raise UnsupportedError("the reader was not asked in words")
        return rankings_of(answers.asked, answers.outputs, decoding=dict(answers.decoding))

    async def relevance(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """See :class:`penjing.knowledge.models.Models`."""
        return (await self._ask("reranker", pairs)).outputs[:, 0]

    async def aside(self, work: Callable[[], T]) -> T:
        """See :class:`penjing.knowledge.models.Models`."""
        return await self._plane.aside(work, deadline=self._deadline)

    def reader_reference(self) -> str:
        """The reader's version now; empty without a reader.

        Raises:
            ModelNotFoundError, NotReadyError: it is not served, or not now.
        """
        if self._told.reader is None:
            return ""
        with self._plane.hold(*parse_reference(self._told.reader)) as version:
            return f"{version.model}/{version.number}"

    def token_spans(self, text: str) -> Sequence[tuple[int, int]]:
        """Where the embedding model's tokens stand; without one, words and Chinese characters."""
        if self._told.embedder is None:
            return words_of(text)
        with self._plane.hold(*parse_reference(self._told.embedder)) as version:
            return version.servable.answering.spell([text], special=False)[0].spans

    async def _ask(self, role: str, texts: Sequence[Text]) -> Answers:
        model, ref = parse_reference(getattr(self._told, role))
        return await self._plane.predict(model, ref, texts, deadline=self._deadline)


@final
class ServedWriter:
    """See the module and :class:`penjing.knowledge.written.Writer`.

    Args:
        plane: that writes.
        version: held by the caller while this is used.
        deadline: of the request, on the clock of ``time.monotonic``.

    Raises:
        UnsupportedError: the version does not write.
    """

    def __init__(self, plane: DataPlane, version: Version, *, deadline: float) -> None:
        self._plane, self._version, self._deadline = plane, version, deadline
        self._side = version.servable.side
        self.reference, self.marks = f"{version.model}/{version.number}", self._side.marks

    async def room(self, request: str) -> int:
        """See :class:`penjing.knowledge.written.Writer`."""
        prompt = await self._plane.aside(partial(self._side.turn, request), deadline=self._deadline)
        return self._side.room(prompt)

    async def write(self, request: str, *, max_tokens: int) -> Wording:
        """See :class:`penjing.knowledge.written.Writer`."""
        prompt = await self._plane.aside(partial(self._side.turn, request), deadline=self._deadline)
        wish = Wish(max_tokens=max_tokens, stops=() if self._side.chats else STOPS)
        writing = self._plane.write(self._version, [prompt], wish, deadline=self._deadline)
        (answer,) = await writing.answers()
        return Wording(answer.text, answer.finish)
