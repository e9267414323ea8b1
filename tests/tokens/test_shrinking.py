"""Texts whose tokens are kept get the same tokens, for every kind of tokenizer and in every script."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer

from penjing.core.errors import CheckpointError
from penjing.tokens.shrinking import renumber_settings, renumbered, shrunk, tokens_to_keep, vocabulary_of
from tokens.making import LINES, byte_level, unigram, wordpiece

MADE = {"WordPiece": wordpiece, "BPE": byte_level, "Unigram": unigram}
CORPUS = [LINES[0], LINES[2], LINES[4], "hockey fans orbit the moon"]
OTHERS = [LINES[1], LINES[3], "zebra 9!", "月亮"]


@pytest.fixture(params=MADE)
def both(request):
    """Old tokenizer, new one, and the old numbers that stayed."""
    old = MADE[request.param]()
    told = json.loads(old.to_str())
    counts = np.zeros(old.get_vocab_size(), np.int64)
    for text in CORPUS:
        np.add.at(counts, old.encode(text).ids, 1)
    kept = tokens_to_keep(told, counts)
    return old, Tokenizer.from_str(json.dumps(shrunk(told, kept.tolist()))), kept


def test_covered_texts_get_the_tokens_they_had_under_new_numbers(both):
    old, new, kept = both
    assert new.get_vocab_size() == len(kept) < old.get_vocab_size()
    for text in [*CORPUS, " ".join(reversed(CORPUS)), CORPUS[0].split()[1]]:
        before, after = old.encode(text), new.encode(text)
        assert before.tokens == after.tokens
        assert renumbered(np.array(before.ids), kept).tolist() == after.ids
        assert before.type_ids == after.type_ids


def test_other_texts_still_get_tokens_and_pairs_their_separators(both):
    old, new, kept = both
    for text in OTHERS:
        assert len(new.encode(text).ids) > 2
    pair = new.encode(CORPUS[0], CORPUS[1])
    assert pair.tokens == old.encode(CORPUS[0], CORPUS[1]).tokens
    assert max(pair.ids) < len(kept)


def test_padding_and_settings_are_renumbered():
    old = wordpiece()
    old.enable_padding(pad_id=4, pad_token="[MASK]")
    told = json.loads(old.to_str())
    kept = [0, 1, 2, 3, 4, 9]
    assert shrunk(told, kept)["padding"]["pad_id"] == 4
    settings = {"added_tokens_decoder": {"4": {"content": "[MASK]"}, "9": {"content": "x"}}, "model_max_length": 8}
    assert renumber_settings(settings, kept)["added_tokens_decoder"] == {
        "4": {"content": "[MASK]"},
        "5": {"content": "x"},
    }


def test_another_kind_is_refused():
    with pytest.raises(CheckpointError, match="WordLevel"):
        vocabulary_of({"model": {"type": "WordLevel", "vocab": {"a": 0}}})
