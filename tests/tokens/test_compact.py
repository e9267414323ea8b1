"""Sequences in a file are the sequences that were put there."""

from __future__ import annotations

import numpy as np
import pytest

from app.world import labelled_rows, make_tokenizer
from penjing.tokens import Encoding, TextEncoder, compact
from penjing.tokens.compact import CompactEncodings, encode_all

TEXTS = [text for text, _ in labelled_rows(60, seed=9)] * 40
PAIRS = list(zip(TEXTS, reversed(TEXTS), strict=True))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(TEXTS).save_pretrained(path)
    return TextEncoder(path / "tokenizer.json", max_tokens=8)


def same(one, other):
    assert one.ids.dtype == other.ids.dtype == np.int64
    np.testing.assert_array_equal(one.ids, other.ids)
    assert (one.type_ids is None) == (other.type_ids is None)
    if one.type_ids is not None:
        assert one.type_ids.dtype == other.type_ids.dtype
        np.testing.assert_array_equal(one.type_ids, other.type_ids)
    assert one.cut is other.cut
    assert other.chosen is None


@pytest.mark.parametrize("texts", [TEXTS, PAIRS, [TEXTS[0], PAIRS[1]] * 700], ids=["texts", "pairs", "both"])
def test_many_are_the_same_as_few(encoder, monkeypatch, texts):
    few = encode_all(encoder, iter(texts))
    assert type(few) is list
    monkeypatch.setattr(compact, "HELD_TOKENS", 5000)
    many = encode_all(encoder, iter(texts))
    assert isinstance(many, CompactEncodings)
    assert len(many) == len(few) == len(texts)
    at_once = encoder.encode(texts)
    for one, other, third in zip(few, many, at_once, strict=True):
        same(one, other)
        same(one, third)
    assert many.lengths.tolist() == [len(one) for one in few]
    assert any(one.cut for one in many)
    for one, other in zip(few[-3:], many[-3:], strict=True):
        same(one, other)
    same(few[-1], many[-1])
    with pytest.raises(IndexError):
        many[len(many)]


@pytest.mark.parametrize("vocabulary", [1 << 16, (1 << 16) + 1])
def test_the_largest_token_fits(vocabulary):
    held = CompactEncodings(vocabulary)
    given = Encoding(np.array([0, vocabulary - 1]), np.array([0, 1]), cut=True)
    held.append(given)
    same(given, held[0])
