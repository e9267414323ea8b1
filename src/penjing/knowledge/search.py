"""Finding passages: by words (BM25), by meaning (vectors), or by both, and a second look by a cross-encoder.

Both lists are fused by reciprocal ranks: Σ 1 / (60 + rank). It needs no scale that BM25 and cosines would share.
Source: Cormack, Clarke, Büttcher 2009, "Reciprocal Rank Fusion outperforms Condorcet".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from penjing.core.errors import UsageError
from penjing.knowledge.keeping import Base, Hit, Passage
from penjing.knowledge.models import Floats, Models
from penjing.knowledge.recipe import KnowledgeRecipe

By = Literal["bm25", "dense", "hybrid"]
_RANK_OFFSET = 60


@dataclass(frozen=True, slots=True)
class Found:
    """A passage and why it was found.

    Attributes:
        passage: what was found.
        rank: its place, from 1.
        score: by which it has that place: of fused ranks, or of the reranker.
        bm25: its share of the best passage's BM25, 0..1; 0 where words did not bring it.
        cosine: with the question; 0 where there are no vectors.
        relevance: the reranker's logit; 0 without one.
    """

    passage: Passage
    rank: int
    score: float
    bm25: float = 0.0
    cosine: float = 0.0
    relevance: float = 0.0


def fused(lists: Sequence[Sequence[int]]) -> list[tuple[int, float]]:
    """(chunk, Σ 1 / (60 + rank)) over the lists that have it, best first; of equal ones the earlier number."""
    scores: dict[int, float] = {}
    for one in lists:
        for rank, chunk in enumerate(one, start=1):
            scores[chunk] = scores.get(chunk, 0.0) + 1 / (_RANK_OFFSET + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


async def search(base: Base, question: str, *, models: Models, told: KnowledgeRecipe, most: int) -> list[Found]:
    """The passages of a base that speak to a question, best first.

    Args:
        base: where to look.
        question: in any words.
        models: who embeds and reranks.
        told: how.
        most: how many.

    Raises:
        UsageError: dense search in a base without an embedding model.
    """
    by, candidates = way(told), max(told.search.candidates, most)
    words: list[Hit] = []
    near: list[Hit] = []
    vector: Floats | None = None
    if by != "dense":
        words = await models.aside(partial(base.by_words, question, most=candidates))
    if by != "bm25":
        vector = (await models.vectors([question]))[0]
        near = await models.aside(partial(base.by_vector, vector, most=candidates))
    best = fused([[hit.chunk for hit in hits] for hits in (words, near) if hits])
    wanted = max(most, told.search.rerank) if told.reranker else most
    found = await models.aside(partial(_placed, base, best[:wanted], words=words, vector=vector))
    return (await _reranked(found, question, models=models, told=told))[:most]


def way(told: KnowledgeRecipe) -> By:
    """How to search, ``auto`` resolved.

    Raises:
        UsageError: by vectors, which the base has not.
    """
    by = told.search.by
    if by == "auto":
        return "hybrid" if told.embedder else "bm25"
    if by != "bm25" and not told.embedder:
        raise UsageError(
            f"search.by is {by}, and the knowledge base has no embedding model",
            expected="bm25, or a base made with --embedder",
        )
    return by


def _placed(base: Base, best: list[tuple[int, float]], *, words: list[Hit], vector: Floats | None) -> list[Found]:
    shares = {hit.chunk: hit.score / words[0].score if words[0].score > 0 else 0.0 for hit in words}
    cosines = {} if vector is None else base.cosines(vector, [chunk for chunk, _ in best])
    scores = dict(best)
    return [
        Found(one, rank, scores[one.chunk], shares.get(one.chunk, 0.0), cosines.get(one.chunk, 0.0))
        for rank, one in enumerate(base.passages([chunk for chunk, _ in best]), start=1)
    ]


async def _reranked(found: list[Found], question: str, *, models: Models, told: KnowledgeRecipe) -> list[Found]:
    """The first ones in the cross-encoder's order, then the rest."""
    if told.reranker is None or not found:
        return found
    first, rest = found[: told.search.rerank], found[told.search.rerank :]
    logits = await models.relevance([(question, one.passage.text) for one in first])
    scored = [replace(one, relevance=float(logit)) for one, logit in zip(first, logits, strict=True)]
    scored.sort(key=lambda one: -one.relevance)
    return [replace(one, rank=rank) for rank, one in enumerate([*scored, *rest], start=1)]
