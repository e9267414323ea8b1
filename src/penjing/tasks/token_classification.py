"""Token classification: entities in a text.

targets    the tag of each word on its first token (BIO or BIOES); all other tokens count for nothing
loss       cross-entropy over those tokens
decoding   softmax; a tag a word, entities from the tags, with their places in the text

NumPy only, but for the loss, which is handed torch tensors; so the server can use this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from penjing.tasks.text_classification import probabilities
from penjing.tokens.tagging import OUTSIDE, Scheme, entities_of, labels_of, tags_of
from penjing.tokens.windows import Window
from penjing.tokens.words import words_of

if TYPE_CHECKING:  # the server uses this file, and has neither
    from torch import Tensor

    from penjing.data.examples import TaggedExample

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Words = Sequence[tuple[int, int]]
# How the tokens of a word become its tag: the first alone, as trained; their mean; or the surest one.
Aggregation = Literal["first", "average", "max"]
NO_TARGET = -100


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity found.

    Attributes:
        label: its kind.
        text: as it stands in the text.
        start, end: characters of the text; the end is not included.
        score: mean probability of its words' tags.
    """

    label: str
    text: str
    start: int
    end: int
    score: float


def scheme_of(tags: Sequence[str]) -> Scheme:
    """The scheme that a head's output names are of."""
    return "bioes" if any(tag.startswith("S-") for tag in tags) else "bio"


def known_labels(tags: Sequence[str]) -> tuple[str, ...]:
    """The kinds of entities behind a head's output names."""
    return labels_of(tags)


def targets_of(example: TaggedExample, windows: Sequence[Window], tags: Sequence[str]) -> list[Ints]:
    """Tag numbers of each window's tokens, int64 (tokens,); :data:`NO_TARGET` where none counts.

    Args:
        example: with entities whose labels are known.
        windows: of its text.
        tags: names of the head's outputs.
    """
    index = {tag: number for number, tag in enumerate(tags)}
    wanted = tags_of(example.entities, len(example.words), scheme=scheme_of(tags))
    numbers = np.array([index[tag] for tag in wanted], np.int64)
    targets = []
    for window, (words, leads) in zip(windows, _first_tokens(windows, _spans(example.words)), strict=True):
        target = np.full(len(window), NO_TARGET, np.int64)
        target[leads] = numbers[words]
        targets.append(target)
    return targets


def loss(outputs: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Cross-entropy summed over tokens that have a target: Σ −log softmax(outputs)[target]."""
    from torch.nn import functional

    del lengths
    return functional.cross_entropy(outputs, targets, reduction="sum", ignore_index=NO_TARGET)


def word_probabilities(
    outputs: Sequence[npt.NDArray[np.float32]],
    windows: Sequence[Window],
    words: Words,
    *,
    aggregation: Aggregation = "first",
    outside: int = 0,
) -> Floats:
    """Probabilities of the tags of each word, float64 (words, tags).

    A word without a token of its own (the tokenizer dropped it) is surely outside of entities.

    Args:
        outputs: the head's, float32 (tokens, tags), a window each.
        windows: of one text.
        words: of the same text.
        aggregation: see :data:`Aggregation`.
        outside: number of the tag ``O``.
    """
    found = np.zeros((len(words), outputs[0].shape[1]))
    found[:, outside] = 1.0
    spans = _spans(words)
    firsts = _first_tokens(windows, spans)
    for window, logits, (word_of, leads) in zip(windows, outputs, firsts, strict=True):
        shares = probabilities(logits)
        found[word_of] = shares[leads]
        if aggregation != "first":
            _merge(found, shares, window, spans, word_of=word_of, aggregation=aggregation)
    return found


def tags_for(shares: Floats, tags: Sequence[str]) -> tuple[list[str], Floats]:
    """The likeliest tag of each word, and its probability."""
    best = shares.argmax(axis=1) if len(shares) else np.zeros(0, np.int64)
    return [tags[number] for number in best], shares[np.arange(len(best)), best]


def decode(
    text: str,
    windows: Sequence[Window],
    *,
    outputs: Sequence[npt.NDArray[np.float32]],
    tags: Sequence[str],
    words: Words | None = None,
    aggregation: Aggregation = "first",
) -> list[Entity]:
    """The entities in a text, in order.

    Args:
        text: as it was encoded.
        windows: of one text.
        outputs: the head's, float32 (tokens, tags), a window each.
        tags: names of the head's outputs.
        words: of the text where the caller knows better; by default :func:`penjing.tokens.words.words_of`.
        aggregation: see :data:`Aggregation`.
    """
    words = words_of(text) if words is None else words
    outside = tags.index(OUTSIDE) if OUTSIDE in tags else 0
    shares = word_probabilities(outputs, windows, words, aggregation=aggregation, outside=outside)
    named, sure = tags_for(shares, tags)
    entities = []
    for first, last, label in entities_of(named):
        start, end = words[first][0], words[last - 1][1]
        entities.append(Entity(label, text[start:end], start, end, float(sure[first:last].mean())))
    return entities


def _spans(words: Words) -> Ints:
    """int64 (2, words): where each begins and ends. Made once a text: a long one has very many windows."""
    return np.ascontiguousarray(np.array(words, np.int64).reshape(-1, 2).T)


def _first_tokens(windows: Sequence[Window], spans: Ints) -> list[tuple[Ints, Ints]]:
    """Of each window (words, tokens): the words whose first token it keeps, and which token that is.

    A word that a boundary splits belongs to the earlier window.
    """
    taken = np.zeros(spans.shape[1], bool)
    found = []
    for window in windows:
        tokens, of = _tokens_in_words(window, spans)
        new = ~taken[of]
        of, firsts = np.unique(of[new], return_index=True)
        taken[of] = True
        found.append((of, tokens[new][firsts]))
    return found


def _tokens_in_words(window: Window, spans: Ints) -> tuple[Ints, Ints]:
    """(tokens, words): kept tokens that hold a character of a word, and that word."""
    if not spans.shape[1]:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    begins, ends = spans
    tokens = np.flatnonzero(window.kept & (window.ends > window.begins))
    # A token may begin with the space before its word, so its end decides.
    of = np.searchsorted(begins, window.ends[tokens], side="left") - 1
    inside = (of >= 0) & (window.begins[tokens] < ends[np.maximum(of, 0)])
    return tokens[inside], of[inside]


def _merge(
    found: Floats, shares: Floats, window: Window, spans: Ints, *, word_of: Ints, aggregation: Aggregation
) -> None:
    """Let all tokens of each word have their say, in ``found`` itself."""
    tokens, of = _tokens_in_words(window, spans)
    for word in word_of.tolist():
        own = shares[tokens[of == word]]
        found[word] = own.mean(axis=0) if aggregation == "average" else own[own.max(axis=1).argmax()]
