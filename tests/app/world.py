"""A small real world: an encoder of 2 layers × 32 with a tokenizer of its own, and labelled text it can learn."""

from __future__ import annotations

import csv
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

KEYWORDS = {
    "cars": ("engine", "clutch", "brake", "wheel", "diesel", "gear"),
    "space": ("orbit", "rocket", "lunar", "satellite", "shuttle", "mars"),
    "体育": ("足球", "球员", "比赛", "进球", "冠军", "教练"),
    "美食": ("面条", "饺子", "辣椒", "豆腐", "厨师", "米饭"),
}
FILLERS = {
    "cars": ("the", "we", "saw", "a", "new", "old", "today", "with", "some", "very"),
    "体育": ("我", "们", "今", "天", "很", "的", "在", "看", "好", "新"),
}
FILLERS |= {"space": FILLERS["cars"], "美食": FILLERS["体育"]}
LABELS = tuple(sorted(KEYWORDS))
# What makes `finetune` quick on this world, and sure of its answers whatever the processor rounds.
QUICK = (
    "training.threads=1",
    "training.epochs=12",
    "training.dropout=0",
    "training.batch_size=32",
    "training.learning_rate=5e-3",
    "text.max_tokens=24",
)
UNMEASURED = (*QUICK, "measure=null")
BRIEF = ("measure.rounds=1", "measure.requests=4", "measure.clients=2")


@dataclass(frozen=True)
class World:
    """Where it lies.

    Attributes:
        checkpoint: the pretrained encoder, without a head.
        train, test: CSV files with the columns text and label.
    """

    checkpoint: Path
    train: Path
    test: Path


def shared_world(factory: pytest.TempPathFactory) -> World:
    """The world of this test session, made when first wanted. Read it, do not write to it."""
    folder = factory.getbasetemp() / "tiny-world"
    return make_world(folder) if not folder.exists() else World(folder / "encoder", *_tables(folder))


def make_world(folder: Path) -> World:
    """Write checkpoint and data into ``folder``."""
    folder.mkdir(parents=True)
    rows = labelled_rows(360, seed=1)
    train, test = _tables(folder)
    make_checkpoint(folder / "encoder", [text for text, _ in rows])
    return World(folder / "encoder", write_rows(train, rows[:280]), write_rows(test, rows[280:]))


def _tables(folder: Path) -> tuple[Path, Path]:
    return folder / "train.csv", folder / "test.csv"


def labelled_rows(count: int, *, seed: int) -> list[tuple[str, str]]:
    """Distinct (text, label), every label equally often; the keywords alone decide."""
    rng, rows = random.Random(seed), {}
    while len(rows) < count:
        label = LABELS[len(rows) % len(LABELS)]
        words = rng.choices(KEYWORDS[label], k=2) + rng.choices(FILLERS[label], k=rng.randrange(2, 9))
        rng.shuffle(words)
        rows[("" if label > "z" else " ").join(words)] = label
    return list(rows.items())


def write_rows(path: Path, rows: list[tuple[str, str]]) -> Path:
    """Write a CSV file with the columns text and label."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def make_checkpoint(path: Path, texts: list[str]) -> None:
    """A pretrained encoder as Transformers saves it."""
    import torch
    import transformers

    from penjing.models.quiet import quiet_transformers

    tokenizer = make_tokenizer(texts)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=40, pad_token_id=0, initializer_range=0.1,
    )  # fmt: skip
    torch.manual_seed(0)
    with quiet_transformers():
        transformers.BertModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)


def make_tokenizer(texts: list[str], *, vocabulary: int = 300) -> object:
    """A WordPiece tokenizer with the characters, the most frequent words and ends of words of ``texts``.

    Not trained: the library's trainer settles ties differently in every process.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    letters = sorted({letter for word in words for letter in word})
    frequent = sorted(words, key=lambda word: (-words[word], word))
    ends = sorted({f"##{word[at:]}" for word in words for at in range(1, len(word))})
    pieces = dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *frequent, *ends])
    known = {piece: number for number, piece in enumerate(list(pieces)[:vocabulary])}
    plain = Tokenizer(models.WordPiece(known, unk_token="[UNK]"))
    plain.normalizer, plain.pre_tokenizer = normalizer, splitter
    plain.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=plain, **named)
