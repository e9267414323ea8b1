"""Labelled text, loaded and tokenised once, for all that a command does with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penjing.core.progress import Progress
from penjing.data import DataRecipe, Split, TextData, TextExample, load_text_splits
from penjing.store.manifest import DataRecord
from penjing.tasks.text_classification import targets_of, texts_of
from penjing.tokens import Encoding, TextEncoder


@dataclass(frozen=True, slots=True)
class Part:
    """One split, ready for a model.

    Attributes:
        split: the examples.
        sequences: their tokens, in the same order.
        targets: int64 (rows,), label indices.
    """

    split: Split[TextExample]
    sequences: list[Encoding]
    targets: npt.NDArray[np.int64]

    @property
    def tokens(self) -> int:
        """Real tokens in all."""
        return sum(len(sequence) for sequence in self.sequences)

    @property
    def record(self) -> DataRecord:
        """What the manifest keeps of it."""
        return DataRecord(source=self.split.source, sha256=self.split.sha256, rows=self.split.rows)


@dataclass(frozen=True, slots=True)
class PreparedData:
    """Training and test split, and what was found in them."""

    data: TextData
    train: Part
    test: Part

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of their indices."""
        return self.data.labels


def prepare(recipe: DataRecipe, tokenizer: Path, *, max_tokens: int, seed: int, progress: Progress) -> PreparedData:
    """Read, check, split and tokenise.

    Raises:
        DataError, ResourceError, UsageError: from the readers.
        CheckpointError: from the tokenizer.
    """
    data = load_text_splits(recipe, seed)
    for line in data.report.remarks():
        progress.say(f"  ! {line}")
    encoder = TextEncoder(tokenizer, max_tokens=max_tokens)
    train = part_of(data.train, encoder, data.labels)
    test = part_of(data.test, encoder, data.labels)
    cut = np.mean([sequence.cut for sequence in train.sequences])
    progress.say(
        f"{data.train.rows:,} training and {data.test.rows:,} test texts, {len(data.labels)} labels; "
        f"{train.tokens / data.train.rows:.0f} tokens a text ({cut:.0%} cut at {max_tokens})"
    )
    return PreparedData(data, train, test)


def part_of(split: Split[TextExample], encoder: TextEncoder, labels: Sequence[str]) -> Part:
    """Tokenise a split."""
    return Part(split, encoder.encode(texts_of(split.examples)), targets_of(split.examples, labels))
