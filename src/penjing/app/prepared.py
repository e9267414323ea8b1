"""Labelled examples, loaded and tokenised once, for all that a command does with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.data import Split, TaskData
from penjing.store.manifest import DataRecord
from penjing.tokens import Encoding, Text
from penjing.tokens.windows import Window


@dataclass(frozen=True, slots=True)
class Part:
    """One split, ready for a model.

    Attributes:
        split: the examples.
        sequences: their tokens, in the same order; an example longer than a window has several.
        targets: a row a sequence, or an array a sequence with a row a token.
        weights: real targets of each sequence; None is one each.
        windows: the windows of each example; None where none is windowed.
        trial: what a client would send of each example to try the model, where that is not what it holds.
        encoder: what made the sequences, for tasks whose answers are texts again.
        together: sequences of an example, one after another, where none is windowed: 2 for pairs of texts.
    """

    split: Split[Any]
    sequences: Sequence[Encoding]
    targets: npt.NDArray[Any] | list[npt.NDArray[Any]]
    weights: npt.NDArray[np.int64] | None = None
    windows: Sequence[Sequence[Window]] | None = None
    together: int = 1
    trial: Sequence[Text] | None = None
    encoder: Any = None

    @property
    def tokens(self) -> int:
        """Real tokens in all."""
        return sum(len(sequence) for sequence in self.sequences)

    @property
    def record(self) -> DataRecord:
        """What the manifest keeps of it."""
        return DataRecord(source=self.split.source, sha256=self.split.sha256, rows=self.split.rows)

    def tokens_of(self, example: int) -> int:
        """Real tokens of one example, all its windows together; of a pair of texts, those of the first."""
        if self.windows is None:
            return len(self.sequences[example * self.together])
        return sum(map(len, self.windows[example]))


@dataclass(frozen=True, slots=True)
class PreparedData:
    """Training and test split, and what was found in them.

    Attributes:
        outputs: names of the head's outputs, in their order.
        validation: what settings of decoding are found on; None where neither the recipe nor the task asks for any.
    """

    data: TaskData[Any]
    outputs: tuple[str, ...]
    train: Part
    test: Part
    validation: Part | None = None

    @property
    def parts(self) -> dict[str, Part]:
        """The splits that there are, by name."""
        given = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in given.items() if part is not None}
