"""Documents into a base: what is new or changed is cut, embedded and kept; what is as it was costs one look.

Promise: documents are kept some at a time, each whole; killed halfway and called again, it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from penjing.core.errors import DataError, UsageError
from penjing.knowledge.chunks import Chunk, TokenSpans, chunks_of
from penjing.knowledge.documents import Document
from penjing.knowledge.keeping import Base, Prepared
from penjing.knowledge.models import Models
from penjing.knowledge.recipe import KnowledgeRecipe
from penjing.tokens.words import words_of

RECIPE, EMBEDDER, CALIBRATION = "recipe", "embedder", "calibration"
_LOOKED_UP = 256  # documents compared with the base at a time
_KEPT_CHUNKS = 512  # from so many on, what is prepared is embedded and kept


@dataclass(slots=True)
class Added:
    """What became of documents.

    Attributes:
        added, replaced, unchanged: how many.
        passages: of those added and replaced.
        left_out: why each file that could not be read was left out.
        notes: what of documents that were taken could not be read.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    passages: int = 0
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def add(
    base: Base,
    documents: Iterable[Document],
    *,
    models: Models,
    told: KnowledgeRecipe,
    token_spans: TokenSpans = words_of,
    watch: Callable[[Added], None] | None = None,
) -> Added:
    """Add documents; one with the id of another takes its place.

    Args:
        base: where to.
        documents: read one after another.
        models: who embeds, where the recipe names an embedding model.
        told: how passages are cut.
        token_spans: where the tokens of a text stand.
        watch: is told how far it is, from time to time.

    Raises:
        DataError: two documents with one id; a blank one; text that is no valid Unicode. What came before them is kept.
    """
    done, waiting, cut = Added(), [], partial(_cut, told=told, token_spans=token_spans)
    looked_up = _unlike(base, documents, done)
    while some := await models.aside(lambda: list(islice(looked_up, 1))):
        waiting.append((some[0], await models.aside(partial(cut, some[0].document))))
        if sum(len(chunks) for _, chunks in waiting) >= _KEPT_CHUNKS:
            await _keep(base, waiting, done, models=models, told=told)
            if watch:
                watch(done)
    await _keep(base, waiting, done, models=models, told=told)
    return done


@dataclass(frozen=True, slots=True)
class _New:
    document: Document
    is_known: bool


def _unlike(base: Base, documents: Iterable[Document], done: Added) -> Iterator[_New]:
    """Documents that are new or changed."""
    seen: dict[str, str] = {}
    coming = iter(documents)
    while some := list(islice(coming, _LOOKED_UP)):
        known = base.digests(document.name for document in some)
        for document in some:
            _check(document, seen)
            done.notes += document.notes
            if known.get(document.name) == document.digest:
                done.unchanged += 1
            else:
                yield _New(document, document.name in known)


def _check(document: Document, seen: dict[str, str]) -> None:
    if document.name in seen:
        raise DataError(
            f"two documents have the id {document.name!r}: {seen[document.name]} and {document.source}",
            expected="each id once",
        )
    seen[document.name] = document.source
    for what in (document.name, document.title, document.text, document.answer or ""):
        if not what.isascii() and any("\ud800" <= letter <= "\udfff" for letter in what):
            raise DataError(f"{document.source} holds half a surrogate pair", expected="whole characters")
    for what, text in (("document", document.text), ("answer", document.answer)):
        if text is not None and not text.strip():
            raise DataError(f"the {what} of {document.source or document.name} is blank", expected="some text")
    if "\0" in document.text:
        raise DataError(f"{document.source} holds a NUL character", expected="text")


def _cut(document: Document, *, told: KnowledgeRecipe, token_spans: TokenSpans) -> list[Chunk]:
    return chunks_of(document, told.chunks, token_spans=token_spans)


async def _keep(
    base: Base,
    waiting: list[tuple[_New, list[Chunk]]],
    done: Added,
    *,
    models: Models,
    told: KnowledgeRecipe,
) -> None:
    texts = [new.document.text[chunk.begin : chunk.end] for new, chunks in waiting for chunk in chunks]
    vectors = await models.vectors(texts) if told.embedder and texts else None
    prepared, at = [], 0
    for new, chunks in waiting:
        own = None if vectors is None else vectors[at : at + len(chunks)]
        prepared.append(Prepared(new.document, chunks, own))
        at += len(chunks)
    await models.aside(partial(base.put, prepared))
    done.added += sum(not new.is_known for new, _ in waiting)
    done.replaced += sum(new.is_known for new, _ in waiting)
    done.passages += len(texts)
    waiting.clear()


def refuse_other(kept: KnowledgeRecipe, told: KnowledgeRecipe) -> None:
    """Raise UsageError where a base that holds documents would be told to cut or embed others differently."""
    for what, one, other in (
        ("embedder", kept.embedder, told.embedder),
        ("chunks", kept.chunks, told.chunks),
    ):
        if one != other:
            raise UsageError(
                f"the knowledge base was made with {what} {_said(one)}, and {_said(other)} is asked for",
                expected="the same for all documents",
                do="Make another base, from all documents.",
            )


def _said(value: object) -> str:
    return "none" if value is None else str(value)
