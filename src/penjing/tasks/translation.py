"""Translation: a text, token by token in another language.

targets    the tokens of the translation and its end
loss       cross-entropy over them; a share of each target may be spread over all tokens
decoding   by beams in the engine; long texts are parted between sentences and put together again

NumPy only, but for the loss, which is handed torch tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from penjing.core.nouns import Translation
from penjing.engines.generating import Continuation, GenerationOptions, Prompt
from penjing.tokens import Encoding
from penjing.tokens.translation import Passage, TranslationEncoder

if TYPE_CHECKING:  # the server uses this package, and has no torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Translated:
    """A translation.

    Attributes:
        text: in the target language.
        score: mean log-probability of its tokens; 0 for a blank text.
        complete: whether every passage was translated to its end.
    """

    text: str
    score: float
    complete: bool = True


class Translator:
    """Texts to prompts, and answers to translations.

    Args:
        tokenizer: ``tokenizer.json``.
        how: languages and search.
        max_tokens: of a source, and of a translation of it.

    Raises:
        CheckpointError, UsageError: as :class:`TranslationEncoder`.
    """

    def __init__(self, tokenizer: Path, how: Translation, *, max_tokens: int) -> None:
        self.encoder = TranslationEncoder(tokenizer, how, max_tokens=max_tokens)
        self.options = options_of(how, max_tokens=max_tokens)

    def passages(self, text: str) -> list[Passage]:
        """What of a text is translated at once. See :meth:`TranslationEncoder.passages`."""
        return self.encoder.passages(text)

    def prompts(self, passages: Sequence[Passage]) -> list[Prompt]:
        """What the engine is asked: one for each passage that is not blank."""
        return [Prompt(one.ids, self.encoder.prefix) for one in passages if one.ids]

    def translated(self, passages: Sequence[Passage], answers: Sequence[Continuation]) -> Translated:
        """One text's translation.

        Args:
            passages: of the text.
            answers: the best one to each of its prompts.
        """
        left = iter(answers)
        said = [(self.encoder.decode(next(left).ids) if one.ids else "") + one.after for one in passages]
        score = float(np.mean([one.score for one in answers])) if answers else 0.0
        return Translated("".join(said), score, all(one.finish == "stop" for one in answers))


def as_rows(answers: Sequence[Continuation], *, tokens: int) -> npt.NDArray[np.float32]:
    """Answers as rows (answers, tokens + 3) of numbers: whether it ended, its score, how many ids, the ids.

    Args:
        answers: with fewer than 2²⁴ different ids, which float32 holds exactly.
        tokens: that an answer may have.
    """
    rows = np.zeros((len(answers), tokens + 3), np.float32)
    for row, one in zip(rows, answers, strict=True):
        row[:3] = one.finish == "stop", one.score, len(one.ids)
        row[3 : 3 + len(one.ids)] = one.ids
    return rows


def from_rows(rows: npt.NDArray[np.float32]) -> list[Continuation]:
    """What :func:`as_rows` was given."""
    return [
        Continuation(
            tuple(row[3 : 3 + int(row[2])].astype(np.int64).tolist()), float(row[1]), "stop" if row[0] else "length"
        )
        for row in rows
    ]


def options_of(how: Translation, *, max_tokens: int) -> GenerationOptions:
    """How the engine is to search."""
    return GenerationOptions(
        max_tokens=max_tokens,
        beams=how.beams,
        patience=how.patience if how.beams > 1 else 1.0,
        length_penalty=how.length_penalty,
    )


def pair_of(source: Sequence[int], target: Sequence[int], *, start: int) -> Encoding:
    """A pair as one sequence to train on: the source, and what the decoder reads when it writes ``target``."""
    read = [start, *target[:-1]]
    ids = np.array([*source, *read], np.int64)
    types = (np.arange(len(ids)) >= len(source)).astype(np.int64)
    return Encoding(ids, types, chosen=np.arange(len(source), len(ids)))


def source_of(pair: Encoding) -> npt.NDArray[np.int64]:
    """The source in a pair."""
    return pair.ids if pair.type_ids is None else pair.ids[pair.type_ids == 0]


def loss(outputs: Tensor, targets: Tensor, lengths: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy summed over real target tokens, ``label_smoothing`` of each spread over the vocabulary."""
    from torch.nn import functional

    del lengths
    return functional.cross_entropy(outputs, targets, reduction="sum", label_smoothing=label_smoothing)
