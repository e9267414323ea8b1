"""Texts become the ids that Transformers makes from the same file."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer

from penjing.core.errors import CheckpointError
from penjing.data.named import WEIGHTS
from penjing.data.packages import cache_dir, installed_folder
from penjing.tokens import TextEncoder
from tokens.making import byte_level, saved, unigram, wordpiece

TEXTS = [
    "",
    " ",
    "The quick brown fox, and it's not the first time.",
    "It’s 20 °C (68 °F) — “naïve” café résumé… ½ ﬁne, İstanbul, straße",
    "今天天气很好,我们去公园散步。机器学习模型的部署很复杂!",
    "сорок тысяч обезьян; 오늘 날씨가 좋네요; ありがとう",
    "👩‍👩‍👧‍👦 🇩🇪 👍🏽 ok 🤗",
    "tabs\tand\r\nlines\u00a0and\u3000wide\u200bzero",
    "a\x00b \ufffd e\u0301 \u0301",
    "[MASK] and <mask> and [SEP] </s>",
    "supercalifragilisticexpialidocious" * 4,
    "word " * 300,
    "今天天气" * 200,
]
PAIRS = [("A man sleeps.", "Nobody is awake."), ("", "second"), ("long first text " * 20, "short"), ("x", "y " * 90)]
# Transformers 5 makes a tokenizer of a named class anew from its tables: each is one that its class would make.
CLASSES = {
    "BertTokenizer": (wordpiece, {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}),
    "RobertaTokenizer": (byte_level, {}),
    "XLMRobertaTokenizer": (unigram, {}),
    "PreTrainedTokenizerFast": (wordpiece, {"pad": "[PAD]", "unk": "[UNK]", "mask": "[MASK]"}),
}


@pytest.fixture(scope="module", params=sorted(CLASSES))
def checkpoint(request, tmp_path_factory):
    """A tokenizer as Transformers saves it with a model of that family."""
    make, special = CLASSES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    named = {f"{role}_token": token for role, token in special.items()}
    transformers.PreTrainedTokenizerFast(tokenizer_object=make(), **named).save_pretrained(folder)
    config = (folder / "tokenizer_config.json").read_text()
    (folder / "tokenizer_config.json").write_text(config.replace("TokenizersBackend", request.param))
    return folder


def assert_equal_to_transformers(folder, texts, *, max_tokens):
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    encodings = TextEncoder(folder / "tokenizer.json", max_tokens=max_tokens).encode(texts)
    for text, encoding in zip(texts, encodings, strict=True):
        expected = reference(*([text] if isinstance(text, str) else text), truncation=True, max_length=max_tokens)
        assert encoding.ids.tolist() == expected["input_ids"], text
        types = np.zeros(len(encoding), int) if encoding.type_ids is None else encoding.type_ids
        assert types.tolist() == expected.get("token_type_ids", types.tolist()), text


@pytest.mark.parametrize("max_tokens", [8, 64, 100_000])
def test_ids_and_types_equal_those_of_transformers(checkpoint, max_tokens):
    assert_equal_to_transformers(checkpoint, [*TEXTS, *PAIRS], max_tokens=max_tokens)


@pytest.mark.parametrize("special", [True, False])
def test_spelling_equals_that_of_transformers_and_cuts_nothing(checkpoint, special):
    reference = transformers.AutoTokenizer.from_pretrained(checkpoint)
    spelled = TextEncoder(checkpoint / "tokenizer.json", max_tokens=8).spell(TEXTS, special=special)
    for text, one in zip(TEXTS, spelled, strict=True):
        expected = reference(
            text, add_special_tokens=special, return_offsets_mapping=True, return_special_tokens_mask=True
        )
        assert one.ids == expected["input_ids"], text
        assert one.special == [mark == 1 for mark in expected["special_tokens_mask"]]
        assert len(one.tokens) == len(one.ids)
        if checkpoint.name.startswith("Bert"):  # other classes of Transformers move the places about
            assert one.spans == [tuple(span) for span in expected["offset_mapping"]]
        assert all(0 <= begin <= end <= len(text) for begin, end in one.spans)


@pytest.mark.data
@pytest.mark.parametrize("max_tokens", [16, 256])
def test_ids_equal_those_of_transformers_for_real_weights(max_tokens):
    source = WEIGHTS["all-minilm-l6-v2"]
    held = sorted((cache_dir() / "packages").glob(f"{source.package}-{source.version}-*"))
    folder = installed_folder(source) or (held[0] if held else None)
    if folder is None:
        pytest.skip("all-minilm-l6-v2 is neither installed nor in the cache; penjing quickstart fetches it")
    assert_equal_to_transformers(folder, [*TEXTS, *PAIRS], max_tokens=max_tokens)


def test_a_text_of_just_the_limit_is_not_cut(wordpiece_file):
    whole = len(TextEncoder(wordpiece_file, max_tokens=99).encode(["the quick brown fox"])[0])
    for limit, cut in [(whole, False), (whole - 1, True)]:
        (encoding,) = TextEncoder(wordpiece_file, max_tokens=limit).encode(["the quick brown fox"])
        assert (len(encoding), encoding.cut) == (limit, cut)


def test_types_are_kept_only_where_they_say_something(wordpiece_file):
    one, pair = TextEncoder(wordpiece_file, max_tokens=20).encode(["the fox", ("the fox", "the dog")])
    assert one.type_ids is None
    assert pair.type_ids.dtype == pair.ids.dtype == np.int64
    assert Counter(pair.type_ids.tolist()) == {0: 4, 1: len(pair) - 4}


@pytest.mark.parametrize("count", [1, 15, 16, 40])
def test_many_texts_give_what_each_gives_alone(wordpiece_file, count):
    encoder = TextEncoder(wordpiece_file, max_tokens=12)
    texts = [TEXTS[index % len(TEXTS)] for index in range(count)]
    for text, encoding in zip(texts, encoder.encode(texts), strict=True):
        (alone,) = encoder.encode([text])
        assert (encoding.ids.tolist(), encoding.cut) == (alone.ids.tolist(), alone.cut)
    assert encoder.encode([]) == []


@pytest.fixture
def read_characters(monkeypatch):
    """How many characters reach the tokenizer, in one list for each call."""
    calls, tokenise = [], TextEncoder._tokenise
    monkeypatch.setattr(
        TextEncoder, "_tokenise", lambda self, texts: calls.append([len(t) for t in texts]) or tokenise(self, texts)
    )
    return calls


MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("fox jumps " * (MEGABYTE // 10), [[383], []]),
        ("天气" * 40_000, [[384], []]),
        (" " * 370 + "fox jumps " * 20_000, [[383], [200_370]]),  # the beginning had too few tokens
        ("z" * MEGABYTE, [[MEGABYTE], []]),
        ("fox jumps " * 38, [[380], []]),
    ],
    ids=["words", "Chinese", "spaces first", "one word", "short"],
)
def test_how_much_of_a_long_text_is_read(wordpiece_file, read_characters, text, read):
    (encoding,) = TextEncoder(wordpiece_file, max_tokens=64).encode([text])
    assert read_characters == read
    whole = Tokenizer.from_file(str(wordpiece_file))
    whole.enable_truncation(64)
    assert encoding.ids.tolist() == whole.encode(text).ids


def test_pairs_are_read_whole(wordpiece_file, read_characters):
    (encoding,) = TextEncoder(wordpiece_file, max_tokens=9).encode([("fox jumps " * 50, "the dog " * 80)])
    assert read_characters == [[2], []]
    assert (len(encoding), encoding.cut) == (9, True)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"not JSON", b'{"model": {"type": "?"}}', b"\xff"])
def test_what_is_no_tokenizer_is_refused(tmp_path, content):
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cannot be read.*expected a tokenizer\.json.*Save") as met:
        TextEncoder(file, max_tokens=8)
    assert str(file) in met.value.came


def test_tokens_can_be_read_by_people(wordpiece_file):
    encoder = TextEncoder(wordpiece_file, max_tokens=8)
    (encoding,) = encoder.encode(["the fox"])
    assert encoder.tokens(encoding.ids) == ["[CLS]", "the", "fox", "[SEP]"]
    assert encoder.tokens([encoder.vocabulary_size + 3]) == [f"<{encoder.vocabulary_size + 3}>"]


def test_added_tokens_count_as_vocabulary(tmp_path):
    tokenizer = wordpiece()
    plain = TextEncoder(saved(tokenizer, tmp_path), max_tokens=8).vocabulary_size
    tokenizer.add_tokens(["newword"])
    assert TextEncoder(saved(tokenizer, tmp_path), max_tokens=8).vocabulary_size == plain + 1


def test_settings_saved_in_the_file_do_not_apply(tmp_path):
    tokenizer = wordpiece()
    tokenizer.enable_padding(length=32)
    tokenizer.enable_truncation(4, direction="left")
    (encoding,) = TextEncoder(saved(tokenizer, tmp_path), max_tokens=16).encode(["the quick brown fox"])
    assert (len(encoding), encoding.cut) == (6, False)
