"""Answering a question out of a base: search, read the best passages, cite the likeliest span, or say there is none.

A question that the base holds with its answer competes with what is read. Promise: ``text[begin:end]`` of the cited
document is the answer; a confidence below the threshold is told as "not in the knowledge base", with what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penjing.core.errors import InvalidRequestError
from penjing.knowledge.confidence import Calibration
from penjing.knowledge.documents import page_at
from penjing.knowledge.keeping import Base
from penjing.knowledge.models import Models
from penjing.knowledge.recipe import KnowledgeRecipe
from penjing.knowledge.search import Found, search
from penjing.knowledge.terms import overlap
from penjing.knowledge.written import Generated
from penjing.tasks.question_answering import Ranking

MAX_QUESTION_CHARACTERS = 2000
_OTHERS = 4


@dataclass(frozen=True, slots=True)
class Citation:
    """A possible answer and where it stands.

    Attributes:
        answer: a span of a document, or the answer that is stored beside a question.
        kind: which of the two.
        document, title, source: see :class:`penjing.knowledge.documents.Document`.
        begin, end: characters of the document's text, the end not included; of a stored answer, its question's.
        page: from 1; None where there are no pages.
        passage: the text that the span was read in, or the question that is stored.
        passage_begin: where the passage begins in the document.
        confidence: probability that the answer is right.
    """

    answer: str
    kind: Literal["span", "stored"]
    document: str
    title: str
    source: str
    begin: int
    end: int
    page: int | None
    passage: str
    passage_begin: int
    confidence: float


@dataclass(frozen=True, slots=True)
class KnowledgeAnswer:
    """What a base says to a question.

    Attributes:
        question: as it was asked.
        best: the answer; None where the base holds none, or none that is sure enough.
        others: what else it might be, likeliest first; where there is no answer, with what would have been.
        passages: what was found, best first.
        confidence: of ``best``, or of what would have been.
        read: passages that were read.
        is_calibrated: whether confidences were fitted to these models on questions to this base.
        generated: the answer in sentences, where that was asked for and there is an answer.
    """

    question: str
    best: Citation | None
    others: tuple[Citation, ...]
    passages: tuple[Found, ...]
    confidence: float
    read: int
    is_calibrated: bool
    generated: Generated | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """A span that a reader brought.

    Attributes:
        features: see :mod:`penjing.knowledge.confidence`.
        score: z.
    """

    found: Found
    begin: int
    end: int
    features: tuple[float, ...]
    score: float

    @property
    def text(self) -> str:
        """The span."""
        return self.found.passage.text[self.begin : self.end]


async def ask(
    base: Base,
    question: str,
    *,
    models: Models,
    told: KnowledgeRecipe,
    calibration: Calibration | None = None,
) -> KnowledgeAnswer:
    """Answer a question.

    Args:
        base: what is known.
        question: in any words.
        models: who embeds, reranks and reads.
        told: how.
        calibration: what makes confidences of scores; None takes the one that comes along.

    Raises:
        InvalidRequestError: the question is blank, or too long to be one.
    """
    question, figures = checked_question(question), calibration or Calibration()
    most = max(told.search.read, _OTHERS + 1)
    found = await search(base, question, models=models, told=told, most=most)
    texts = [one for one in found if one.passage.answer is None][: told.search.read if told.reader else 0]
    spans, read = await _read(question, texts, models=models, told=told, figures=figures)
    cited = [*_spans(spans, figures), *_stored(question, found, figures)]
    cited.sort(key=lambda one: -one.confidence)
    confidence = cited[0].confidence if cited else 0.0
    threshold = figures.threshold if told.search.threshold is None else told.search.threshold
    best = cited[0] if cited and confidence >= threshold else None
    others = tuple(cited[1 if best else 0 :][:_OTHERS])
    return KnowledgeAnswer(question, best, others, tuple(found), confidence, read, calibration is not None)


async def options(base: Base, question: str, *, models: Models, told: KnowledgeRecipe) -> list[Option]:
    """What the reader finds in all passages that it may read, sure or not. See :func:`ask`."""
    found = await search(base, checked_question(question), models=models, told=told, most=told.search.read)
    texts = [one for one in found if one.passage.answer is None]
    every = told.model_copy(update={"search": told.search.model_copy(update={"read_first": None})})
    return (await _read(question, texts, models=models, told=every, figures=Calibration()))[0]


def checked_question(question: str) -> str:
    """The question without blanks around.

    Raises:
        InvalidRequestError: blank, over 2,000 characters, or no valid Unicode.
    """
    question = question.strip()
    if not question:
        raise InvalidRequestError("the question is blank", expected="some words")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise InvalidRequestError(
            f"the question has {len(question):,} characters", expected=f"at most {MAX_QUESTION_CHARACTERS:,}"
        )
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError("the question holds half a surrogate pair", expected="whole characters") from error
    return question


async def _read(
    question: str, found: Sequence[Found], *, models: Models, told: KnowledgeRecipe, figures: Calibration
) -> tuple[list[Option], int]:
    """Spans of passages, so many at a time until an answer is sure enough; and how many were read."""
    step = told.search.read_first or max(1, len(found))
    options: list[Option] = []
    for at in range(0, len(found), step):
        if options and _confidences(ordered(options), figures)[0] >= told.search.sure:
            break
        part = found[at : at + step]
        rankings = await models.rankings([(question, one.passage.text) for one in part])
        options += [
            option for one, ranking in zip(part, rankings, strict=True) for option in options_of(one, ranking, figures)
        ]
    return options, sum(1 for _ in {id(option.found) for option in options})


def options_of(found: Found, ranking: Ranking, figures: Calibration) -> list[Option]:
    """The spans of one passage with their z."""
    spans = ranking.candidates
    made = []
    for begin, end, score in zip(spans.begins.tolist(), spans.ends.tolist(), spans.scores.tolist(), strict=True):
        features = (score - ranking.null, found.cosine, found.bm25, 1 / found.rank, found.relevance, 1.0)
        made.append(Option(found, begin, end, features, figures.score(features)))
    return made


def ordered(options: Sequence[Option]) -> list[Option]:
    """Best first; of those that say the same, the best one only."""
    kept: dict[str, Option] = {}
    for option in sorted(options, key=lambda one: -one.score):
        kept.setdefault(" ".join(option.text.casefold().split()), option)
    return list(kept.values())


def _confidences(options: Sequence[Option], figures: Calibration) -> list[float]:
    """Of each, against the best of the others."""
    scores = [one.score for one in options]
    if len(scores) < 2:
        return [figures.confidence(score, None) for score in scores]
    return [figures.confidence(score, scores[0 if at else 1]) for at, score in enumerate(scores)]


def _spans(options: Sequence[Option], figures: Calibration) -> list[Citation]:
    best = ordered(options)[: _OTHERS + 1]
    return [_citation(one, confidence) for one, confidence in zip(best, _confidences(best, figures), strict=True)]


def _citation(option: Option, confidence: float) -> Citation:
    passage = option.found.passage
    begin, end = passage.begin + option.begin, passage.begin + option.end
    return Citation(
        option.text, "span", passage.document, passage.title, passage.source, begin, end,
        page_at(passage.pages, begin), passage.text, passage.begin, confidence,
    )  # fmt: skip


def _stored(question: str, found: Sequence[Found], figures: Calibration) -> list[Citation]:
    """Answers that stand beside a question like this one; each once, by its nearest question."""
    cited: dict[str, Citation] = {}
    for one in found:
        passage = one.passage
        if passage.answer is not None:
            cited.setdefault(
                passage.answer,
                Citation(
                    passage.answer, "stored", passage.document, passage.title, passage.source, passage.begin,
                    passage.end, passage.page, passage.text, passage.begin, figures.match(_nearness(question, one)),
                ),
            )  # fmt: skip
    return list(cited.values())


def _nearness(question: str, found: Found) -> float:
    """The cosine of two questions; without vectors, what words they share."""
    return found.cosine or overlap(question, found.passage.text)
