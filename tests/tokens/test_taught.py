"""What counts in training, token by token."""

import numpy as np
import pytest

from app.decoder_world import byte_tokenizer
from penjing.core.errors import DataError
from penjing.tokens.taught import TeachingEncoder, targets_of

TOKENIZER = byte_tokenizer()
END = TOKENIZER.convert_tokens_to_ids("<|im_end|>")
CHAT = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "天气 the?"},
    {"role": "assistant", "content": " the 好🙂"},
    {"role": "user", "content": "x"},
    {"role": "assistant", "content": "y"},
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    TOKENIZER.save_pretrained(folder)
    return folder / "tokenizer.json"


def encoder(path, **told):
    return TeachingEncoder(path, **({"max_tokens": 256} | told))


def taught_text(sequence):
    return TOKENIZER.decode(targets_of(sequence))


def test_of_a_conversation_exactly_the_answers_and_their_ends_count(path):
    sequence = encoder(path).chat(CHAT, origin="x:1")
    assert taught_text(sequence) == " the 好🙂<|im_end|>y<|im_end|>"
    whole = TOKENIZER.apply_chat_template(CHAT, tokenize=False)
    assert sequence.ids.tolist() == TOKENIZER.encode(whole)
    answer = TOKENIZER.encode(" the 好🙂<|im_end|>")
    assert targets_of(sequence)[: len(answer)].tolist() == answer


def test_of_a_completion_its_tokens_and_the_end_count(path):
    sequence = encoder(path).completion("问: in?", " the end")
    assert taught_text(sequence) == " the end<|im_end|>"
    assert sequence.ids[sequence.chosen[0]] == TOKENIZER.encode("问: in?")[-1]


def test_a_prompt_keeps_its_tokens_whatever_follows(path):
    """'t' + 'he' would be one token, which the model never sees when it is asked."""
    sequence = encoder(path).completion("say t", "he")
    assert sequence.ids.tolist() == [*TOKENIZER.encode("say t"), *TOKENIZER.encode("he"), END]
    assert taught_text(sequence) == "he<|im_end|>"


def test_of_a_text_everything_but_its_first_token_counts(path):
    (sequence,) = encoder(path).text("你 the")
    assert taught_text(sequence) == TOKENIZER.decode([*TOKENIZER.encode("你 the")[1:], END])


@pytest.mark.parametrize("stride", [0, 1, 3])
@pytest.mark.parametrize("length", [7, 8, 9, 21, 22, 23, 24])
def test_of_a_long_text_each_token_counts_once(path, length, stride):
    text = "".join(chr(97 + at) for at in range(length))
    pieces = encoder(path, max_tokens=8, stride=stride).text(text)
    ids = [*TOKENIZER.encode(text), END]
    counted = [token for piece in pieces for token in targets_of(piece)]
    assert all(len(piece) <= 8 for piece in pieces)
    if stride:
        assert counted == ids[1:]
    else:  # without an overlap the first token of each piece has nothing before it
        assert len(counted) == len(ids) - len(pieces)
    assert all(np.array_equal(piece.ids[piece.chosen + 1], targets_of(piece)) for piece in pieces)


def test_what_is_cut_off_does_not_count_and_is_told(path):
    sequence = encoder(path, max_tokens=6).completion("abcd", "efgh")
    assert (len(sequence), sequence.cut, taught_text(sequence)) == (6, True, "ef")
    nothing = encoder(path, max_tokens=4).completion("abcdef", "gh")
    assert len(nothing.chosen) == 0


def test_a_conversation_needs_a_chat_template(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(DataError, match=r"x:1 is a conversation.*no chat template"):
        encoder(tmp_path / "tokenizer.json").chat(CHAT, origin="x:1")
