"""Text while its tokens come: whole characters only, and in the end the whole text."""

import hypothesis
import pytest
from hypothesis import strategies
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from app.decoder_world import byte_tokenizer
from penjing.tokens.streaming import TextStream, text_of

BYTES = byte_tokenizer().backend_tokenizer
TEXTS = [
    "plain text",
    "你好，世界",
    "a 🙂 b 👩‍👩‍👧‍👦 c",
    "שלום עולם",
    "é vs e\u0301",
    "\N{REPLACEMENT CHARACTER} stays",
    " a  b ",
]


def sentencepiece():
    """Metaspace with byte fallback, as Llama 2's."""
    pieces = ["<unk>", "▁", "▁hello", "▁world", "lo", *(f"<0x{byte:02X}>" for byte in range(256)), *"helowrd"]
    plain = Tokenizer(models.BPE({p: n for n, p in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True))
    plain.pre_tokenizer = pre_tokenizers.Metaspace()
    plain.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return plain


def pieces_of(tokenizer, ids, context=()):
    stream = TextStream(tokenizer, context)
    return [*map(stream.take, ids), stream.rest()]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("tokenizer", [BYTES, sentencepiece()], ids=["bytes", "sentencepiece"])
def test_the_pieces_make_the_text_and_none_ends_in_half_a_character(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    pieces = pieces_of(tokenizer, ids)
    whole = tokenizer.decode(ids)
    assert "".join(pieces) == whole
    assert "".join(pieces).count("\N{REPLACEMENT CHARACTER}") == whole.count("\N{REPLACEMENT CHARACTER}")


@hypothesis.given(strategies.text(max_size=40))
def test_the_law_for_any_text(text):
    ids = BYTES.encode(text, add_special_tokens=False).ids
    assert "".join(pieces_of(BYTES, ids)) == text == text_of(BYTES, ids)


@hypothesis.given(strategies.lists(strategies.integers(3, 258), max_size=60))
def test_bytes_that_are_no_text_end_all_the_same(ids):
    """A model may write anything: what it holds back is told in the end, and never twice."""
    pieces = pieces_of(BYTES, ids)
    assert len("".join(pieces)) <= len(ids)
    assert text_of(BYTES, ids) == "".join(pieces)


def test_a_word_in_the_middle_of_a_text_keeps_its_space():
    tokenizer = sentencepiece()
    hello, world = tokenizer.token_to_id("▁hello"), tokenizer.token_to_id("▁world")
    assert pieces_of(tokenizer, [world], context=[hello]) == [" world", ""]
    assert pieces_of(tokenizer, [hello, world]) == ["hello", " world", ""]


def test_special_tokens_are_not_told():
    end = BYTES.token_to_id("<|im_end|>")
    assert pieces_of(BYTES, [*BYTES.encode("ab").ids, end]) == ["a", "b", "", ""]


def test_a_character_is_told_with_its_last_byte():
    ids = BYTES.encode("好", add_special_tokens=False).ids
    assert pieces_of(BYTES, ids) == ["", "", "好", ""]
    assert pieces_of(BYTES, ids[:2]) == ["", "", "\N{REPLACEMENT CHARACTER}"]
