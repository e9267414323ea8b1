"""The models of a knowledge base out of a store, run in this process on packed rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, final

import numpy as np
import numpy.typing as npt

from penjing.app.judging import open_drafted
from penjing.app.knowledge_writing import LocalWriter
from penjing.app.predict import answerer_of, outputs_of
from penjing.core.errors import UsageError
from penjing.core.nouns import Task
from penjing.engines import Engine
from penjing.knowledge.models import rankings_of
from penjing.knowledge.recipe import KnowledgeRecipe
from penjing.store import Bundle, Store, parse_reference
from penjing.tasks.answering import Answerer
from penjing.tasks.asked import Asked
from penjing.tasks.feature_extraction import shaped
from penjing.tasks.question_answering import Ranking
from penjing.tokens import Text
from penjing.tokens.words import words_of

Floats = npt.NDArray[np.float32]
T = TypeVar("T")
_SPECIAL_TOKENS = 2
ROLES = {
    "embedder": Task.FEATURE_EXTRACTION,
    "reader": Task.QUESTION_ANSWERING,
    "reranker": Task.TEXT_CLASSIFICATION,
    "generator": Task.TEXT_GENERATION,
}


def pinned(told: KnowledgeRecipe, store: Store) -> KnowledgeRecipe:
    """The recipe with the very version of its embedding model, and all its models known to be there and of use.

    Raises:
        NotFoundError: a model that is not in the store.
        UsageError: one of another task.
    """
    for role, task in ROLES.items():
        name = getattr(told, role)
        if name is not None:
            bundle = store.bundle(*parse_reference(name))
            _check(bundle, role, task)
            if role == "embedder":
                _check_room(bundle, told)
                told = told.model_copy(update={"embedder": bundle.reference})
    return told


def _check(bundle: Bundle, role: str, task: Task) -> None:
    manifest = bundle.manifest
    if manifest.task is not task:
        raise UsageError(f"the {role} {bundle.reference} is for {manifest.task.value}", expected=task.value)
    if role == "reranker" and len(manifest.labels) > 1:
        raise UsageError(
            f"the reranker {bundle.reference} has {len(manifest.labels)} labels",
            expected="one, whose logit says how well a passage answers a question",
        )


def _check_room(bundle: Bundle, told: KnowledgeRecipe) -> None:
    room = bundle.manifest.text.max_tokens - _SPECIAL_TOKENS
    if told.chunks.max_tokens > room:
        raise UsageError(
            f"chunks.max_tokens is {told.chunks.max_tokens}, and {bundle.reference} reads {room} of a text",
            expected=f"at most {room}",
            do=f"Set chunks.max_tokens={room} or less.",
        )


@final
class LocalModels:
    """See the module and :class:`penjing.knowledge.models.Models`. Each is opened when first asked.

    Args:
        told: which.
        store: where they lie.
    """

    def __init__(self, told: KnowledgeRecipe, *, store: Path) -> None:
        self._told, self._store = told, Store(store)
        self._open: dict[str, _Model] = {}
        self._writer: LocalWriter | None = None

    @property
    def reader_reference(self) -> str:
        """The reader's version now; empty without a reader."""
        return self._bundle("reader").reference if self._told.reader else ""

    async def vectors(self, texts: Sequence[str]) -> Floats:
        """See :class:`penjing.knowledge.models.Models`."""
        model = self._model("embedder")
        embedding = model.bundle.manifest.embedding
        return shaped(model.run(texts)[1], normalised=embedding is not None and embedding.normalised)

    async def rankings(self, pairs: Sequence[tuple[str, str]]) -> list[Ranking]:
        """See :class:`penjing.knowledge.models.Models`."""
        model = self._model("reader")
        asked, outputs = model.run(pairs)
        return rankings_of(asked, outputs, decoding=model.bundle.manifest.decoding)

    async def relevance(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """See :class:`penjing.knowledge.models.Models`."""
        return self._model("reranker").run(pairs)[1][:, 0]

    async def aside(self, work: Callable[[], T]) -> T:
        """See :class:`penjing.knowledge.models.Models`."""
        return work()

    def token_spans(self, text: str) -> Sequence[tuple[int, int]]:
        """Where the embedding model's tokens stand; without one, words and Chinese characters."""
        if self._told.embedder is None:
            return words_of(text)
        return self._model("embedder").answering.spell([text], special=False)[0].spans

    def writer(self) -> LocalWriter:
        """Who writes answers in sentences. The recipe names one."""
        if self._writer is None:
            self._writer = LocalWriter(self._bundle("generator"))
        return self._writer

    def close(self) -> None:
        """Close the engines. Idempotent."""
        for model in self._open.values():
            model.engine.close()
        self._open.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _bundle(self, role: str) -> Bundle:
        return self._store.bundle(*parse_reference(getattr(self._told, role)))

    def _model(self, role: str) -> _Model:
        if role not in self._open:
            self._open[role] = _Model(self._bundle(role))
        return self._open[role]


@final
class _Model:
    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.answering: Answerer = answerer_of(bundle)
        self.engine: Engine = open_drafted(bundle.path, bundle.manifest)

    def run(self, texts: Sequence[Text]) -> tuple[Asked, Floats]:
        asked = self.answering.encode(texts)
        return asked, outputs_of(self.engine, self.answering, asked)
