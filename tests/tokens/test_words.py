"""Words in any script."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.tokens.words import stands_alone, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Paris, 14 July.", ["Paris", ",", "14", "July", "."]),
        ("GPT模型很好。", ["GPT", "模", "型", "很", "好", "。"]),
        ("ひらがな 한국어", ["ひ", "ら", "が", "な", "한국어"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("cafe\u0301 naïve", ["cafe\u0301", "naïve"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("a\u200db 🙂x", ["a\u200db", "🙂", "x"]),
        ("𠀀𠀁", ["𠀀", "𠀁"]),
        (" \t\n", []),
        ("", []),
    ],
)
def test_words(text, words):
    assert [text[begin:end] for begin, end in words_of(text)] == words


@given(st.text())
def test_every_character_that_is_no_space_is_in_exactly_one_word(text):
    words = words_of(text)
    assert all(begin < end for begin, end in words)
    assert all(one[1] <= other[0] for one, other in pairwise(words))
    inside = {at for begin, end in words for at in range(begin, end)}
    assert all(at in inside or character.isspace() for at, character in enumerate(text))


def test_which_characters_stand_alone():
    assert [character for character in "a中あ한1。" if stands_alone(character)] == ["中", "あ"]
