"""Token files: whole or absent, documents apart, and the tokens of a text in their order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from penjing.core.errors import DataError
from penjing.tokens.stream import (
    TokenFile,
    TokenWindows,
    around,
    clear_unfinished,
    open_tokens,
    pieces_of,
    write_tokens,
)


def words(count=100):
    made = Tokenizer(models.WordLevel({f"w{number}": number for number in range(count)}, unk_token="w0"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any),
    longest=st.integers(3, 20),
)
def test_each_document_is_cut_into_as_few_sequences_as_hold_it(lengths, longest):
    ends = np.cumsum(lengths)
    file = TokenFile(np.arange(ends[-1]).astype(np.uint16), ends, "")
    windows = TokenWindows(file, max_tokens=longest, before=[900], after=[901])
    room = longest - 2
    assert len(windows) == sum(-(-length // room) for length in lengths)
    assert windows.lengths.tolist() == [len(one) for one in windows[:]]
    assert all(one.ids[0] == 900 and one.ids[-1] == 901 and len(one) <= longest for one in windows)
    assert np.concatenate([one.ids[1:-1] for one in windows]).tolist() == list(range(ends[-1]))
    within = [(one.ids[1], one.ids[-2]) for one in windows]
    assert all(np.searchsorted(ends, first, "right") == np.searchsorted(ends, last, "right") for first, last in within)


def test_what_is_written_is_read_back(tmp_path):
    documents = ["w1 w2 w3", "w4", "w5 w6 " * 20_000]
    write_tokens(tmp_path / "text", documents, words(), last=99)
    file = open_tokens(tmp_path / "text")
    assert file.ids.dtype == np.uint16
    assert file.ends.tolist() == [4, 6, 40_007]
    assert file.ids[:6].tolist() == [1, 2, 3, 99, 4, 99]
    assert file.ids[-3:].tolist() == [5, 6, 99]
    write_tokens(tmp_path / "again", documents, words(), last=99)
    assert open_tokens(tmp_path / "again").sha256 == file.sha256
    write_tokens(tmp_path / "wide", ["w69999 w1"], words(70_000))
    assert open_tokens(tmp_path / "wide").ids.tolist() == [69999, 1]


def test_nothing_is_left_of_a_writing_that_failed(tmp_path):
    def breaks():
        yield "w1"
        raise RuntimeError("the source went away")

    with pytest.raises(RuntimeError):
        write_tokens(tmp_path / "text", breaks(), words())
    assert not list(tmp_path.iterdir())
    (tmp_path / ".staging-left").mkdir()
    clear_unfinished(tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_text_is_told(tmp_path):
    write_tokens(tmp_path / "text", [], words())
    with pytest.raises(DataError, match="no text to train on"):
        open_tokens(tmp_path / "text")


@pytest.mark.parametrize("text", ["w1 w2 w3 w4 w5 w6 w7", "w1  w2\nw3 ", "w1", " ", "w1 " * 50])
def test_pieces_give_the_tokens_of_the_text(text):
    pieces = pieces_of(text, words(), room=3)
    ids = [words().encode(piece).ids for piece in pieces]
    assert all(0 < len(own) <= 3 for own in ids)
    assert [token for own in ids for token in own] == words().encode(text).ids


def test_what_stands_around_a_text():
    from penjing.tokens.learning import TokenizerRecipe, learn_tokenizer

    made = learn_tokenizer(lambda: ["a b c a b c"] * 3, TokenizerRecipe())
    assert around(made) == ([2], [3])
    assert around(words()) == ([], [])
