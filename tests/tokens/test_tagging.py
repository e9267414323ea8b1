"""Entities out of tags as seqeval reads them, and back without loss."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from penjing.tokens.tagging import entities_of, labels_of, parse_tag, tag_names, tags_of

TAGS = st.lists(st.sampled_from(["O", *(f"{p}-{label}" for p in "BIES" for label in ("PER", "地点"))]), max_size=12)


@given(TAGS)
def test_any_tags_are_read_as_seqeval_reads_them(tags):
    assert entities_of(tags) == [(first, last + 1, label) for label, first, last in get_entities(tags)]


@st.composite
def entities_in_words(draw):
    words = draw(st.integers(0, 12))
    found, at = [], 0
    while at < words:
        begin = draw(st.integers(at, words))
        end = draw(st.integers(begin, words))
        if end > begin:
            found.append((begin, end, draw(st.sampled_from(["PER", "地点"]))))
        at = max(end, at + 1)
    return found, words


@given(entities_in_words(), st.sampled_from(["bio", "bioes"]))
def test_entities_come_back_from_their_tags(drawn, scheme):
    found, words = drawn
    tags = tags_of(found, words, scheme=scheme)
    assert entities_of(tags) == found
    assert set(tags) <= set(tag_names(["PER", "地点"], scheme=scheme))


def test_other_schemes_are_read_too():
    assert entities_of(["I-PER", "I-PER", "O", "I-LOC", "B-LOC"]) == [
        (0, 2, "PER"),
        (3, 4, "LOC"),
        (4, 5, "LOC"),
    ]  # IOB1
    assert entities_of(["U-PER", "B-LOC", "I-LOC", "L-LOC"]) == [(0, 1, "PER"), (1, 4, "LOC")]  # BILOU


@pytest.mark.parametrize("tag", ["PER", "", "B-", "-PER", "X-PER", "b-PER"])
def test_what_is_no_tag_is_refused(tag):
    with pytest.raises(ValueError, match="no tag of BIO"):
        parse_tag(tag)


def test_labels_with_dashes_stay_whole():
    assert entities_of(["B-creative-work", "I-creative-work"]) == [(0, 2, "creative-work")]
    assert labels_of(tag_names(["b", "a-c"])) == ("a-c", "b")
