"""Windows hold every token of a text once, in the places the tokenizer says."""

import numpy as np
import pytest

from penjing.core.errors import CheckpointError, UsageError
from penjing.tokens.windows import WindowEncoder
from tokens.making import KINDS, LINES, saved

LONG = " ".join(LINES[:7] * 3)


def kept_places(windows):
    return [
        (int(begin), int(end))
        for window in windows
        for begin, end in zip(window.begins[window.kept], window.ends[window.kept], strict=True)
    ]


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize(("max_tokens", "stride"), [(16, 0), (16, 4), (17, 5), (64, 16), (4096, 32)])
def test_each_token_is_kept_once_and_in_order(kind, max_tokens, stride, tmp_path):
    tokenizer = KINDS[kind]()
    encoder = WindowEncoder(saved(tokenizer, tmp_path), max_tokens=max_tokens, stride=stride)
    for text in (LONG, "short", "今天天气很好 " * 9, ""):
        (windows,) = encoder.encode([text])
        whole = tokenizer.encode(text, add_special_tokens=False)
        assert kept_places(windows) == whole.offsets
        assert all(len(window) <= max_tokens for window in windows)
        ids = [int(one) for window in windows for one in window.encoding.ids[window.kept]]
        assert ids == whole.ids


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_pair_keeps_its_first_text_in_every_window(kind, tmp_path):
    tokenizer = KINDS[kind]()
    encoder = WindowEncoder(saved(tokenizer, tmp_path), max_tokens=40, stride=6)
    (windows,) = encoder.encode([("who jumps over the dog?", LONG)])
    first = tokenizer.encode("who jumps over the dog?", add_special_tokens=False).ids
    assert len(windows) > 2
    assert all(window.encoding.ids[1 : 1 + len(first)].tolist() == first for window in windows)
    assert kept_places(windows) == tokenizer.encode(LONG, add_special_tokens=False).offsets
    assert all((window.begins[: len(first) + 2] == -1).all() for window in windows)


def test_a_first_text_that_fills_the_window_leaves_half_of_it(tmp_path):
    encoder = WindowEncoder(saved(KINDS["wordpiece"](), tmp_path), max_tokens=32, stride=4)
    (windows,) = encoder.encode([(LONG, "the lazy dog and the quick brown fox " * 4)])
    assert all(np.count_nonzero(window.begins >= 0) >= 10 for window in windows[:-1])
    assert all(len(window) <= 32 for window in windows)


def test_the_one_that_sees_more_around_a_token_answers_for_it(tmp_path):
    encoder = WindowEncoder(saved(KINDS["wordpiece"](), tmp_path), max_tokens=18, stride=6)
    (windows,) = encoder.encode([LONG])
    first, second, *_ = windows
    assert first.kept.tolist() == [False] + [True] * 13 + [False] * 3 + [False]
    assert second.kept.tolist() == [False] + [False] * 3 + [True] * 10 + [False] * 3 + [False]


def test_an_overlap_that_would_not_move_on_is_refused(tmp_path):
    file = saved(KINDS["wordpiece"](), tmp_path)
    with pytest.raises(UsageError, match=r"windows of 16 tokens that overlap by 12.*text\.stride"):
        WindowEncoder(file, max_tokens=16, stride=12)
    with pytest.raises(CheckpointError, match="cannot be read"):
        WindowEncoder(tmp_path / "absent.json", max_tokens=16, stride=2)
