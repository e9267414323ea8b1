"""Reading only the beginning of a long text gives exactly what reading all of it gives."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers

from penjing.tokens import TextEncoder
from penjing.tokens.prefix import SafeCut, safe_cut
from tokens.making import byte_level, unigram, wordpiece

LIMIT = 8  # so that texts of more than 48 characters are long

PIECES = [
    "the", "fox", "jumps", "it's", "don't", "I'll", " ", " ", "  ", "     ", "\n", " \n \n ", "\t", "\r\n", "\u00a0",
    "\u3000", "\u200b", "\x00", "\ufffd", ".", ",", "''", "``", "'", "(", "1993", "3.14", "½", "x" * 30, "z" * 101,
    "supercalifragilistic", "天气", "机器学习模型", "部署", "。", "오늘", "\u1112\u1161\u11ab", "сорок", "é", "e\u0301",
    "\u0301", "\u0327\u0301", "ß", "İ", "ﷺ", "ﬁ", "\u037a", "\u0600", "\u0d4e", "👩\u200d👩\u200d👧", "🇩🇪", "🏽",
    "[MASK]", "[MA", "SK]", "<mask>", "<ma", "sk>", "[SEP]", "</s>", "▁", "##s", "<foo", "bar>",
]  # fmt: skip
long_texts = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=8, max_size=60).map("".join),
    st.lists(st.sampled_from(PIECES), min_size=8, max_size=40).map(" ".join),
    st.text(min_size=49, max_size=120),
)


@pytest.fixture(scope="session")
def encoder_and_whole(tokenizer_file):
    whole = Tokenizer.from_file(str(tokenizer_file))
    whole.enable_truncation(LIMIT)
    return TextEncoder(tokenizer_file, max_tokens=LIMIT), whole


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=long_texts)
@example("the fox jumps over it " + "z" * 26 + "z" * 90 + " end")  # an unknown word that the limit cuts
@example("天" * 47 + "e\u0301 " * 9)
@example("fox " * 11 + "    <mask> fox")  # an added token that swallows the spaces before it
@example("fox " * 11 + "fo  \n  \n  bar")
@example("a" + " " * 200 + "b c d e f g h i j k l m")
@example("a" + " " * 100 + "b")
def test_the_beginning_gives_the_tokens_of_the_whole(encoder_and_whole, text):
    encoder, whole = encoder_and_whole
    expected = whole.encode(text)
    (encoding,) = encoder.encode([text])
    assert encoding.ids.tolist() == expected.ids
    assert encoding.cut == bool(expected.overflowing)


def test_the_kinds_of_the_encoder_families_are_read_in_part(tokenizer_file):
    assert safe_cut(Tokenizer.from_file(str(tokenizer_file))) is not None


def test_between_chinese_characters_only_where_each_is_a_word():
    assert safe_cut(wordpiece()) == SafeCut(ideographs=True)
    assert safe_cut(byte_level()) == safe_cut(unigram()) == SafeCut(ideographs=False)


def _changed(**parts):
    tokenizer = byte_level()
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer


def _with_added(tokenizer, content, **how):
    tokenizer.add_tokens([AddedToken(content, **how)])
    return tokenizer


_SPLIT = pre_tokenizers.Split(Regex(r"\w+ \w+"), behavior="isolated")
UNKNOWN_KINDS = {
    "words are not split": _changed(pre_tokenizer=None),
    "bytes without words": _changed(pre_tokenizer=pre_tokenizers.ByteLevel(use_regex=False)),
    "one word a text": _changed(pre_tokenizer=pre_tokenizers.Metaspace(split=False)),
    "words with spaces inside": _changed(pre_tokenizer=_SPLIT),
    "one such step": _changed(pre_tokenizer=pre_tokenizers.Sequence([_SPLIT, pre_tokenizers.WhitespaceSplit()])),
    "spaces replaced": _changed(normalizer=normalizers.Replace(" ", "_")),
    "runs of spaces replaced": _changed(normalizer=normalizers.Replace(Regex(" {2,}"), "_")),
    "any pattern": _changed(normalizer=normalizers.Replace(Regex("a b"), "c")),
    "a space in front": _changed(normalizer=normalizers.Sequence([normalizers.NFC(), normalizers.Prepend(" ")])),
    "an added token with a space": _with_added(byte_level(), "foo bar"),
    "one that gets a space": _with_added(wordpiece(), "foo机bar", normalized=True),
}


@pytest.mark.parametrize("kind", UNKNOWN_KINDS)
def test_any_other_kind_is_read_whole(kind):
    assert safe_cut(UNKNOWN_KINDS[kind]) is None


def test_an_added_chinese_token_may_span_the_cut():
    assert safe_cut(_with_added(wordpiece(), "机器", normalized=False)) == SafeCut(ideographs=False)


@pytest.mark.parametrize(
    ("text", "ideographs", "limit", "at"),
    [
        ("ab cd ef", True, 7, 5),
        ("ab cd ef", True, 5, 5),
        ("ab cd ef", True, 4, 2),
        ("ab, cd", True, 5, None),  # after a mark it could be the middle of an added token
        ("ab   cd", True, 6, 2),  # at the start of a run of spaces
        ("ab\ncd\tef", True, 7, None),
        (" cd", True, 2, None),
        ("今天天气", True, 3, 3),
        ("今天天气", False, 3, None),
        ("abcdef", True, 5, None),
    ],
)
def test_where_a_text_may_be_cut(text, ideographs, limit, at):
    assert SafeCut(ideographs).before(text, limit) == at
