"""Learnt tokenizers: reproducible where that is promised, with special tokens where families have them."""

import subprocess
import sys

import pytest
import transformers

from penjing.core.errors import DataError
from penjing.models.fresh import write_tokenizer
from penjing.tokens.learning import BERT_SPECIAL, END, TokenizerRecipe, learn_tokenizer

ENGLISH = "the old tower of the city fell when walls were weak and nobody was there to see it"
CHINESE = "这家酒店的房间很好早餐也不错下次还会再来住"
KINDS = ("wordpiece", "bpe", "unigram")

ANEW = """
import hashlib, sys
from penjing.tokens.learning import TokenizerRecipe, learn_tokenizer
from tokens.test_learning import texts
made = learn_tokenizer(texts, TokenizerRecipe(kind=sys.argv[1], vocabulary=400))
print(hashlib.sha256(made.to_str().encode()).hexdigest())
"""


def texts():
    words = ENGLISH.split()
    yield from (" ".join(words[at % 7 :: 1 + at % 3]) for at in range(60))
    yield from (CHINESE[at % 11 :] for at in range(30))


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_every_process_learns_the_same(kind):
    found = {
        subprocess.run(
            [sys.executable, "-c", ANEW, kind],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
            env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
        ).stdout
        for _ in range(3)
    }
    assert len(found) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_opens_it_and_gives_the_same_ids(kind, tmp_path):
    made = learn_tokenizer(texts, TokenizerRecipe(kind=kind, vocabulary=500))
    write_tokenizer(tmp_path, made, max_tokens=64)
    opened = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert opened.model_max_length == 64
    for text in (ENGLISH, CHINESE, f"the {opened.mask_token} fell", "🙂 unseen"):
        assert opened(text)["input_ids"] == made.encode(text).ids
    assert opened.mask_token_id in opened(f"the {opened.mask_token} fell")["input_ids"]
    assert opened.convert_ids_to_tokens(opened("a", "b")["input_ids"])[0] == "[CLS]"
    assert [made.token_to_id(name) for name in BERT_SPECIAL] == [0, 1, 2, 3, 4]
    assert made.get_vocab_size() <= 500


@pytest.mark.parametrize("kind", KINDS)
def test_chinese_is_cut_into_known_tokens(kind):
    made = learn_tokenizer(texts, TokenizerRecipe(kind=kind, vocabulary=600))
    tokens = made.encode("酒店很好").tokens
    assert "[UNK]" not in tokens
    assert len(tokens) > 2


def test_a_causal_one_has_an_end_and_nothing_around_a_text():
    made = learn_tokenizer(texts, TokenizerRecipe(kind="bpe", vocabulary=500), causal=True)
    assert made.token_to_id(END) == 0
    assert made.decode(made.encode(ENGLISH + CHINESE).ids) == ENGLISH + CHINESE


def test_no_text_is_told():
    with pytest.raises(DataError, match="gives no token"):
        learn_tokenizer(lambda: iter(()), TokenizerRecipe())
