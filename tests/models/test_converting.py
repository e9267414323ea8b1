"""Older checkpoints: pickled weights read without running anything, SentencePiece files to tokenizer.json."""

import json
import pickle

import pytest
import sentencepiece
import torch
import transformers

from models.tiny_writers import tiny_writer
from penjing.core.errors import CheckpointError
from penjing.models.checkpoint import find_checkpoint
from penjing.models.converting import TARGET_TOKENIZER, converted
from penjing.models.sentencepiece_file import build_tokenizer, read_sentencepiece
from penjing.tokens.encode import open_tokenizer

EN = [
    "The dog runs over the green grass.",
    "Two men sit on a bench.",
    "A café was naïve, she said: “no”.",
    "1/2 of it!",
]
DE = ["Der Hund läuft über das grüne Gras.", "Zwei Männer sitzen auf einer Bank.", "Straße, Öl und Übermut.", "Nein?"]
STRANGE = ["", " ", "a", "  two   spaces ", "你好 世界", "😀 ok", "ﬁne ½ Ⅷ", "tab\there", "مرحبا"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))


def train_pieces(folder, name, texts, *, kind="unigram"):
    lines = folder / f"{name}.txt"
    lines.write_text("\n".join(texts * 20), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(lines), model_prefix=str(folder / name), vocab_size=90, model_type=kind, hard_vocab_limit=False,
        character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    return folder / f"{name}.model"


def marian_directory(folder):
    """As OPUS-MT comes: two piece models, one vocabulary of both, pickled weights."""
    folder.mkdir()
    models = [train_pieces(folder, name, texts) for name, texts in (("en", EN), ("de", DE))]
    pieces = dict.fromkeys(["</s>", "<unk>"])
    for model, name in zip(models, ("source.spm", "target.spm"), strict=True):
        pieces |= dict.fromkeys(read_sentencepiece(model).scores)
        model.rename(folder / name)
    vocabulary = {piece: number for number, piece in enumerate([*pieces, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    size = len(vocabulary)
    model = tiny_writer(
        "marian", vocab_size=size, pad_token_id=size - 1, decoder_start_token_id=size - 1, eos_token_id=0
    )
    model.config.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["MarianMTModel"]}))
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder, model


def test_an_opus_checkpoint_opens_as_it_comes_and_is_left_alone(tmp_path):
    folder, model = marian_directory(tmp_path / "opus")
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    checkpoint = find_checkpoint(str(folder))
    assert checkpoint.task.value == "translation"
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    assert converted(folder) == checkpoint.path, "made once"
    again = transformers.MarianMTModel.from_pretrained(checkpoint.path)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], weight)


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
def test_its_tokens_are_those_of_transformers(tmp_path):
    folder, _ = marian_directory(tmp_path / "opus")
    made, theirs = converted(folder), transformers.MarianTokenizer.from_pretrained(folder)
    source, target = (open_tokenizer(made / name) for name in ("tokenizer.json", TARGET_TOKENIZER))
    for text in [*EN, *STRANGE]:
        assert [*source.encode(text, add_special_tokens=False).ids, 0] == theirs(text)["input_ids"], text
    for text in DE:
        ids = target.encode(text, add_special_tokens=False).ids
        assert [*ids, 0] == theirs(text_target=text)["input_ids"], text
        assert target.decode(ids) == theirs.decode(ids)


def test_bpe_pieces_are_sentencepieces(tmp_path):
    model = train_pieces(tmp_path, "both", EN + DE, kind="bpe")
    library = sentencepiece.SentencePieceProcessor(model_file=str(model))
    vocabulary = {library.IdToPiece(number): number for number in range(library.GetPieceSize())}
    ours = build_tokenizer(read_sentencepiece(model), vocabulary, special=("<s>", "</s>", "<unk>"))
    for text in [*EN, *DE, *STRANGE]:
        assert ours.encode(text, add_special_tokens=False).ids == library.encode(text), text


def test_m2m100_languages_follow_its_vocabulary(tmp_path):
    folder = tmp_path / "m2m"
    folder.mkdir()
    train_pieces(folder, "both", EN + DE, kind="bpe").rename(folder / "sentencepiece.bpe.model")
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *read_sentencepiece(folder / "sentencepiece.bpe.model").scores]
    (folder / "vocab.json").write_text(json.dumps({piece: at for at, piece in enumerate(pieces)}))
    model = tiny_writer("m2m_100", vocab_size=len(pieces) + 2)
    model.save_pretrained(folder)
    with pytest.raises(CheckpointError, match="does not name its languages"):
        find_checkpoint(str(folder))
    (folder / "special_tokens_map.json").write_text('{"additional_special_tokens": ["__en__", "__de__"]}')
    tokenizer = open_tokenizer(find_checkpoint(str(folder)).tokenizer)
    assert [tokenizer.token_to_id(name) for name in ("__en__", "__de__")] == [len(pieces), len(pieces) + 1]


class Trap:
    def __reduce__(self):
        return print, ("opened",)


def test_a_pickle_that_would_run_is_refused_and_does_not(tmp_path, capsys):
    folder, _ = marian_directory(tmp_path / "opus")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"model.shared.weight": Trap()}))
    with pytest.raises(CheckpointError, match="is not plain weights"):
        find_checkpoint(str(folder))
    assert capsys.readouterr().out == ""
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


@pytest.mark.parametrize("wrong", [b"", b"\x0a", b"hello", b"\x0a\xff\xff\xff\xff\x0f" + b"x" * 9])
def test_what_is_no_piece_model_is_refused(tmp_path, wrong):
    (tmp_path / "source.spm").write_bytes(wrong)
    with pytest.raises(CheckpointError, match="is not a SentencePiece model"):
        read_sentencepiece(tmp_path / "source.spm")


def test_a_vocabulary_with_gaps_is_refused(tmp_path):
    pieces = read_sentencepiece(train_pieces(tmp_path, "en", EN))
    for vocabulary in ({"<unk>": 0, "a": 2}, {"a": 0}):
        with pytest.raises(CheckpointError, match="gaps or no <unk>"):
            build_tokenizer(pieces, vocabulary, special=())
