"""Passages: exact places, whole sentences, no more tokens than allowed, nothing left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.knowledge.chunks import chunks_of
from penjing.knowledge.documents import Document
from penjing.knowledge.recipe import ChunksRecipe
from penjing.tokens.words import words_of

PARTS = st.sampled_from(
    [
        "It rains",
        "Dr. Who",
        " 3.14 ",
        "。",
        ". ",
        "! ",
        "\n",
        "\n\n",
        "天气很好",
        "？",
        "x" * 40,
        " ",
        "«",
        "🙂",
        "مرحبا ",
    ]
)
TEXTS = st.lists(PARTS, max_size=60).map("".join)


@given(TEXTS, st.integers(8, 40), st.integers(0, 4), st.data())
def test_the_passages_are_exact_and_hold_everything(text, most, overlap, data):
    places = [begin for begin, _ in words_of(text)] or [0]
    heads = data.draw(st.lists(st.sampled_from(places), max_size=2).map(lambda ones: tuple(sorted(ones))))
    document = Document("d", text, headings=heads)
    chunks = chunks_of(document, ChunksRecipe(max_tokens=most, overlap=overlap), token_spans=words_of)
    covered = set()
    for chunk in chunks:
        said = text[chunk.begin : chunk.end]
        assert said == said.strip() != ""
        assert len(words_of(said)) <= most
        covered |= set(range(chunk.begin, chunk.end))
    assert all(letter.isspace() for at, letter in enumerate(text) if at not in covered)
    assert [chunk.begin for chunk in chunks] == sorted({chunk.begin for chunk in chunks})


def said(text, most, overlap=0, headings=()):
    told = ChunksRecipe(max_tokens=most, overlap=overlap)
    chunks = chunks_of(Document("d", text, headings=headings), told, token_spans=words_of)
    return [text[chunk.begin : chunk.end] for chunk in chunks]


def test_sentences_stay_whole_in_two_scripts():
    text = "Dr. Who came at 3.15 p.m. sharp. It rained! 天气很好。我们去北京。然后回家。"
    assert said(text, 14) == ["Dr. Who came at 3.15 p.m. sharp.", "It rained! 天气很好。我们去北京。", "然后回家。"]


def test_the_next_passage_begins_with_the_end_of_the_last():
    text = "One two three. Four five six. Seven eight nine. Ten."
    assert said(text, 10, overlap=4) == [
        "One two three. Four five six.",
        "Four five six. Seven eight nine. Ten.",
    ]


def test_no_passage_goes_across_a_heading():
    text = "Warranty\n\nTwo years.\n\nReturns\n\nThirty days."
    assert said(text, 50, headings=(0, text.index("Returns"))) == ["Warranty\n\nTwo years.", "Returns\n\nThirty days."]


def test_a_paragraph_that_fits_the_next_passage_is_not_split():
    text = "A b c d e f.\n\nG h i. J k l."
    assert said(text, 12) == ["A b c d e f.", "G h i. J k l."]


@pytest.mark.parametrize("text", ["x " * 100, "天" * 100, "a.b" * 40])
def test_what_has_no_sentences_is_cut_between_tokens(text):
    pieces = said(text, 8)
    assert all(len(words_of(piece)) <= 8 for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_a_stored_question_is_one_passage():
    text = "How long is it? Really. " * 9
    (chunk,) = chunks_of(Document("d", text, answer="Yes"), ChunksRecipe(max_tokens=8, overlap=0), token_spans=words_of)
    assert (chunk.begin, chunk.end) == (0, len(text) - 1)
