"""Languages, passages and sentences of translation."""

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from penjing.core.errors import CheckpointError, InvalidRequestError, UsageError
from penjing.core.nouns import Translation
from penjing.tokens.translation import TranslationEncoder, sentences

PIECES = ["</s>", "<unk>", *(f"▁{word}" for word in ("a", "dog", "runs")), "▁", *"adogruns.!?。你好"]


def tokenizer_file(folder, *special, end="</s>"):
    tokenizer = Tokenizer(
        models.Unigram([(end if one == "</s>" else one, -float(len(PIECES) - at)) for at, one in enumerate(PIECES)], 1)
    )
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([end, "<unk>", *special])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def encoder(folder, *special, how=None, max_tokens=12):
    return TranslationEncoder(tokenizer_file(folder, *special), how or Translation(), max_tokens=max_tokens)


def test_a_model_of_one_pair_ends_its_texts(tmp_path):
    made = encoder(tmp_path)
    assert made.encode("a dog")[-1] == made.end_id == 0
    assert made.prefix == ()
    assert made.decode(made.encode("a dog runs")) == "a dog runs"
    with pytest.raises(UsageError, match="no language codes"):
        encoder(tmp_path, how=Translation(source="en", target="de"))


@pytest.mark.parametrize(
    ("special", "source", "target"),
    [
        (("__en__", "__fr__"), "en", "fr"),
        (("eng_Latn", "fra_Latn"), "eng_Latn", "fra_Latn"),
        (("en_XX", "fr_XX"), "en_XX", "fr_XX"),
    ],
)
def test_languages_stand_before_source_and_target(tmp_path, special, source, target):
    made = encoder(tmp_path, *special, how=Translation(source=source, target=target))
    first = len(PIECES)
    assert (made.encode("a")[0], made.prefix) == (first, (first + 1,))
    assert made.encode_targets(["a"])[0][0] == first + 1
    for wrong in (Translation(source=source), Translation(source=source, target="xx"), Translation(target=target)):
        with pytest.raises(UsageError, match=rf"translation\.(source|target) is .*expected one of {source}, {target}"):
            encoder(tmp_path, *special, how=wrong)


def test_a_marian_of_several_languages_names_the_target_in_the_source(tmp_path):
    made = encoder(tmp_path, ">>deu<<", ">>fra<<", how=Translation(target="fra"))
    assert (made.encode("a")[0], made.prefix) == (len(PIECES) + 1, ())


def test_an_instruction_stands_before_each_text(tmp_path):
    made = encoder(tmp_path, how=Translation(instruction="a dog: "))
    assert made.encode("runs") == encoder(tmp_path).encode("a dog: runs")


def test_a_tokenizer_without_an_end_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no end token"):
        TranslationEncoder(tokenizer_file(tmp_path, end="<s>"), Translation(), max_tokens=8)


def test_a_long_text_is_parted_between_sentences_and_keeps_its_breaks(tmp_path):
    made = encoder(tmp_path, max_tokens=8)
    text = "a dog runs. a dog runs!  a dog runs?\n\n你好。你好。你好。a"
    passages = made.passages(text)
    assert all(len(one.ids) <= 8 for one in passages)
    assert "".join((made.decode(one.ids) if one.ids else "") + one.after for one in passages) == text
    assert sum(one.after.count("\n") for one in passages) == 2


def test_blank_text_stays_and_a_sentence_too_long_is_refused(tmp_path):
    made = encoder(tmp_path)
    for blank in ("", "  ", "\n\n"):
        assert [(one.ids, one.after) for one in made.passages(blank)] == [((), blank)]
    with pytest.raises(InvalidRequestError, match=r"a sentence of [\d,]+ tokens, 'dddddd"):
        made.passages("d" * 1_000_000)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "no." She left.', ['He said "no."', "She left."]),
        ("3.5 is a number.", ["3.5 is a number."]),
        ("你好。再见！好吗？", ["你好。", "再见！", "好吗？"]),
        ("مرحبا؟ نعم.", ["مرحبا؟", "نعم."]),
        ("no end", ["no end"]),
        ("", []),
    ],
)
def test_where_sentences_end(line, parts):
    found = list(sentences(line))
    assert [sentence for sentence, _ in found] == parts
    assert "".join(sentence + gap for sentence, gap in found) == line
