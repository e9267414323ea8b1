"""A tokenizer learnt from a stream of text, by the ``tokenizers`` library.

Promises: special tokens have the places and names of the model families (``[PAD] [UNK] [CLS] [SEP] [MASK]``
first; ``<|endoftext|>`` of causal models); a text and a pair get them as those families want. WordPiece and BPE
come out the same from the same text, in every process. The library settles ties in WordPiece by the order in
which its hash table, of another order in every process, gives characters their numbers; here they have their
numbers before. Price: the text is read twice.

Unigram sums floating-point numbers in such an order: its scores differ in the last digits from run to run, and
now and then its rarest pieces (docs/experiments.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from pydantic import Field
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from penjing.core.errors import DataError
from penjing.core.nouns import Frozen

BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
END = "<|endoftext|>"
_INSIDE = "##"
_FOR_CHARACTERS = 3  # one in so many tokens may be a character at the beginning of a word, and one inside


class TokenizerRecipe(Frozen):
    """Which tokenizer to learn.

    Attributes:
        kind: ``wordpiece`` (BERT's), ``bpe`` of bytes (GPT-2's, RoBERTa's), or ``unigram`` (SentencePiece's).
        vocabulary: tokens, special ones included; a small text gives fewer.
        lowercase: take the case of letters, and accents, away; not with ``bpe``.
        min_frequency: how often a pair must stand in the text to become a token; not with ``unigram``.
    """

    kind: Literal["wordpiece", "bpe", "unigram"] = "wordpiece"
    vocabulary: int = Field(8000, ge=300, le=1_000_000)
    lowercase: bool = True
    min_frequency: int = Field(2, ge=1)


def learn_tokenizer(texts: Callable[[], Iterable[str]], recipe: TokenizerRecipe, *, causal: bool = False) -> Tokenizer:
    """Learn a tokenizer.

    Args:
        texts: the text, from its beginning each time it is called.
        recipe: which.
        causal: for a causal language model, which has no mask and no tokens around a text.

    Raises:
        DataError: the text is too little for any token.
    """
    special = (END,) if causal else BERT_SPECIAL
    tokenizer = _BUILD[recipe.kind](texts, recipe, special)
    if tokenizer.get_vocab_size() <= len(special):
        raise DataError("the text gives no token", expected="text to learn a tokenizer from")
    if not causal:
        _frame(tokenizer)
    return tokenizer


def special_names(tokenizer: Tokenizer) -> dict[str, str]:
    """What Transformers calls the special tokens → how they are written."""
    if tokenizer.token_to_id(END) is not None:
        return {"eos_token": END, "bos_token": END, "unk_token": END, "pad_token": END}
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return dict(zip(names, BERT_SPECIAL, strict=True))


def _frame(tokenizer: Tokenizer) -> None:
    first, last = (tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", first), ("[SEP]", last)],
    )


def _wordpiece(texts: Callable[[], Iterable[str]], recipe: TokenizerRecipe, special: tuple[str, ...]) -> Tokenizer:
    pieces = Tokenizer(models.WordPiece(unk_token=special[0]))
    pieces.normalizer = normalizers.BertNormalizer(lowercase=recipe.lowercase)
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    characters = _characters(texts(), pieces.normalizer)[: (recipe.vocabulary - len(special)) // _FOR_CHARACTERS]
    # Given as special ones, the characters have their numbers before the library looks at the text.
    known = [*special, *characters, *(_INSIDE + character for character in characters)]
    learner = trainers.WordPieceTrainer(
        vocab_size=recipe.vocabulary, special_tokens=known, initial_alphabet=characters,
        limit_alphabet=len(characters), min_frequency=recipe.min_frequency, show_progress=False,
    )  # fmt: skip
    pieces.train_from_iterator(_ready(texts()), learner)
    unknown = special[0] if len(special) == 1 else special[1]
    made = Tokenizer(models.WordPiece(pieces.get_vocab(), unk_token=unknown, continuing_subword_prefix=_INSIDE))
    made.normalizer, made.pre_tokenizer = pieces.normalizer, pieces.pre_tokenizer
    made.decoder = decoders.WordPiece(prefix=_INSIDE)
    made.add_special_tokens(list(special))
    return made


def _bpe(texts: Callable[[], Iterable[str]], recipe: TokenizerRecipe, special: tuple[str, ...]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary, special_tokens=list(special), initial_alphabet=alphabet,
        min_frequency=recipe.min_frequency, show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(_ready(texts()), learner)
    return tokenizer


def _unigram(texts: Callable[[], Iterable[str]], recipe: TokenizerRecipe, special: tuple[str, ...]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    steps: list[Any] = [normalizers.NFKC()]
    if recipe.lowercase:
        steps += [normalizers.Lowercase()]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    learner = trainers.UnigramTrainer(
        vocab_size=recipe.vocabulary, special_tokens=list(special), unk_token=special[0 if len(special) == 1 else 1],
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(_ready(texts()), learner)
    return tokenizer


_BUILD: dict[str, Callable[[Callable[[], Iterable[str]], TokenizerRecipe, tuple[str, ...]], Tokenizer]] = {
    "wordpiece": _wordpiece,
    "bpe": _bpe,
    "unigram": _unigram,
}


def _characters(texts: Iterable[str], normalizer: Any) -> list[str]:
    """The characters of texts, by how often they stand there, then by code point."""
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update(normalizer.normalize_str(text))
    common = sorted(seen.items(), key=lambda one: (-one[1], one[0]))
    return [character for character, _ in common if not character.isspace()]


def _ready(texts: Iterable[str]) -> Iterator[list[str]]:
    """In the lists that the library takes faster than single texts."""
    some: list[str] = []
    for text in texts:
        some.append(text)
        if len(some) == 256:
            yield some
            some = []
    yield some
