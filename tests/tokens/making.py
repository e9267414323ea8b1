"""Small tokenizers of the kinds that the encoder families use, trained on a few lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, Unigram, WordPiece

LINES = [
    "the quick brown fox jumps over the lazy dog, and it's not the first time (nor the last).",
    "A pretrained encoder turns words into vectors; a classifier turns vectors into labels: 20 of them.",
    "Übergrößenträger naïve café résumé coöperate façade",
    "сорок тысяч обезьян в магазине сунули банан",
    "今天天气很好 我们去公园散步 机器学习模型的部署",
    "space shuttle launch delayed by weather 1993 NASA orbit moon",
    "hockey team wins game seven in overtime, fans cheer",
    *(f"if{' ' * run}so" for run in (3, 5, 9, 17)),  # source code: runs of spaces become tokens
] * 4


def wordpiece(*, lowercase: bool = True) -> Tokenizer:
    """As BERT, DistilBERT, ELECTRA and MPNet."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def byte_level() -> Tokenizer:
    """As RoBERTa."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=_WITH_ANGLES,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return _with_angles(tokenizer)


def unigram(normalizer: normalizers.Normalizer | None = None) -> Tokenizer:
    """As XLM-RoBERTa and CamemBERT, but for their normaliser, a table of their own."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=_WITH_ANGLES, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return _with_angles(tokenizer)


_COMPOSED = [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
_AS_ALBERT = [normalizers.Replace("``", '"'), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
KINDS: dict[str, Callable[[], Tokenizer]] = {
    "wordpiece": wordpiece,
    "wordpiece-cased": lambda: wordpiece(lowercase=False),
    "byte-level": byte_level,
    "unigram": unigram,
    "unigram, characters composed": lambda: unigram(normalizers.Sequence(_COMPOSED)),
    "unigram, as ALBERT": lambda: unigram(normalizers.Sequence(_AS_ALBERT)),
}

_WITH_ANGLES = ["<s>", "<pad>", "</s>", "<unk>"]


def _with_angles(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def saved(tokenizer: Tokenizer, folder: Path) -> Path:
    """Its ``tokenizer.json`` in ``folder``."""
    file = folder / "tokenizer.json"
    tokenizer.save(str(file))
    return file
