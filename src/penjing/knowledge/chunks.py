"""Passages of a document: as many whole sentences as fit, none across a heading.

Promises: the passages hold every character that is no white space; ``text[begin:end]`` is the passage, with no
white space around; none has more tokens than allowed. A sentence that is too long is cut between tokens, and only
then.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from penjing.knowledge.documents import Document
from penjing.knowledge.recipe import ChunksRecipe

# Places of the tokens of a text, (begin, end), ascending.
TokenSpans = Callable[[str], Sequence[tuple[int, int]]]

_BLANK_LINES = re.compile(r"[^\S\n]*(?:\r?\n[^\S\n]*){2,}")
_SENTENCE_END = re.compile(
    r"[。！？!?；…]+[\"'”’」』）)\]]*(?=\S)"  # Chinese ends need no space behind them
    r"|[.!?。！？…]+[\"'”’」』）)\]]*\s+"
)
_ABBREVIATION = re.compile(r"(?:^|[\s(\"“])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e|Inc|Ltd|Jr|Sr|Fig|p|pp)$")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: characters ``begin`` to before ``end`` of its document."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class _Sentence:
    begin: int
    end: int
    tokens: int
    opens: bool  # a section: no passage goes across its beginning
    is_new_paragraph: bool


def chunks_of(document: Document, told: ChunksRecipe, *, token_spans: TokenSpans) -> list[Chunk]:
    """The passages of a document; a question that has its answer beside it is one, whatever its length.

    Args:
        document: to cut.
        told: how long.
        token_spans: says where the tokens of a text stand.
    """
    text = document.text
    if document.answer is not None:
        return [_without_blanks(text, 0, len(text))] if text.strip() else []
    spans = token_spans(text)
    counter = _Counter([begin for begin, _ in spans])
    sentences = [
        piece
        for sentence in _sentences(document, counter)
        for piece in _pieces(sentence, spans, counter, most=told.max_tokens)
    ]
    groups = _grouped(sentences, most=told.max_tokens, overlap=told.overlap)
    made = (_without_blanks(text, group[0].begin, group[-1].end) for group in groups)
    return [chunk for chunk in made if chunk.end > chunk.begin]


class _Counter:
    """How many tokens begin between two places."""

    def __init__(self, begins: Sequence[int]) -> None:
        self._begins = begins

    def first_at(self, place: int) -> int:
        return bisect.bisect_left(self._begins, place)

    def __call__(self, begin: int, end: int) -> int:
        return self.first_at(end) - self.first_at(begin)


def _sentences(document: Document, count: _Counter) -> Iterator[_Sentence]:
    """Sentences one after another, each up to where the next begins."""
    text, headings = document.text, set(document.headings)
    borders = sorted({0, len(text), *headings, *(one.end() for one in _BLANK_LINES.finditer(text))})
    for begin, end in pairwise(borders):
        ends = [end] if begin in headings else [*_sentence_ends(text, begin, end), end]
        at = begin
        for stop in ends:
            if text[at:stop].strip():
                yield _Sentence(at, stop, count(at, stop), at in headings, at == begin)
            at = stop


def _sentence_ends(text: str, begin: int, end: int) -> Iterator[int]:
    for found in _SENTENCE_END.finditer(text, begin, end):
        if found[0][0] != "." or not _ABBREVIATION.search(text, max(begin, found.start() - 6), found.start()):
            yield found.end()


def _pieces(
    sentence: _Sentence, spans: Sequence[tuple[int, int]], count: _Counter, *, most: int
) -> Iterator[_Sentence]:
    """The sentence, cut between tokens where it has more than ``most``."""
    first, last = count.first_at(sentence.begin), count.first_at(sentence.end)
    for at in range(first, max(last, first + 1), most):
        begin = sentence.begin if at == first else spans[at][0]
        end = sentence.end if at + most >= last else spans[at + most][0]
        is_first = at == first
        yield _Sentence(
            begin, end, min(most, last - at), sentence.opens and is_first, sentence.is_new_paragraph and is_first
        )


def _grouped(sentences: Sequence[_Sentence], *, most: int, overlap: int) -> Iterator[list[_Sentence]]:
    """Runs of sentences of up to ``most`` tokens; a run begins with the last ones of the run before it."""
    group: list[_Sentence] = []
    for at, sentence in enumerate(sentences):
        tokens = sum(one.tokens for one in group)
        opens = sentence.opens and not all(one.opens for one in group)
        if group and (opens or tokens + sentence.tokens > most or _parts_here(sentences, at, tokens, most=most)):
            yield group
            group = [] if opens else _kept(group, most=min(overlap, most - sentence.tokens))
        group = [*group, sentence]
    if group:
        yield group


def _parts_here(sentences: Sequence[_Sentence], at: int, tokens: int, *, most: int) -> bool:
    """Whether a passage that is half full had better end before a paragraph that fits into the next one only."""
    if not sentences[at].is_new_paragraph or tokens * 2 < most:
        return False
    whole = sentences[at].tokens
    for later in sentences[at + 1 :]:
        if later.is_new_paragraph or later.opens or whole > most:
            break
        whole += later.tokens
    return tokens + whole > most


def _kept(group: Sequence[_Sentence], *, most: int) -> list[_Sentence]:
    """The last sentences of a passage that the next one repeats."""
    kept: list[_Sentence] = []
    for sentence in reversed(group[1:]):
        most -= sentence.tokens
        if most < 0:
            break
        kept.insert(0, sentence)
    return kept


def _without_blanks(text: str, begin: int, end: int) -> Chunk:
    solid = text[begin:end]
    return Chunk(begin + len(solid) - len(solid.lstrip()), begin + len(solid.rstrip()))
