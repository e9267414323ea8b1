"""The protocol that a task gives to the life-cycle commands, and what it speaks in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part, PreparedData
from penjing.core.errors import DataError
from penjing.core.nouns import Task, Translation
from penjing.core.progress import Progress
from penjing.data import DataRecipe, Split, load_splits
from penjing.evaluate import Change, Quality
from penjing.tokens import Reads, Text
from penjing.train.recipe import TrainingRecipe

_HELD_OUT = 0.1


@dataclass(frozen=True, slots=True)
class TextSettings:
    """How text becomes tokens.

    Attributes:
        tokenizer: ``tokenizer.json``.
        max_tokens: of a sequence, special tokens included.
        stride: tokens by which the windows of a longer text overlap, for tasks that read all of it.
        translation: languages and search, for translation.
        start: token id that a decoder begins with, for translation.
    """

    tokenizer: Path
    max_tokens: int
    stride: int
    translation: Translation | None = None
    start: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """Scores on a split, and the answers themselves, for paired comparison later.

    Attributes:
        result: scores with intervals.
        predictions: int32, in a form that the task reads back; see :meth:`TaskFlow.compare`.
    """

    result: Quality
    predictions: npt.NDArray[np.int32]

    @property
    def metric(self) -> str:
        """The measure of quality that gates and tables go by; empty where the split measures none."""
        return next(iter(self.result.headlines), "")


class TaskFlow(Protocol):
    """What is particular to a task.

    Attributes:
        task: which.
        reads: what the head reads of each sequence.
        windowed: whether long texts are read whole, in windows, or cut.
    """

    task: Task
    reads: Reads
    windowed: bool

    def outputs_for(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Names of the head's outputs for the labels found in training data."""

    def labels_behind(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """The labels that a head with these outputs knows."""

    def wants_validation(self, train: Split[Any]) -> bool:
        """Whether :meth:`tune` needs a validation split even where the recipe asks for none."""

    def part(self, split: Split[Any], text: TextSettings, outputs: Sequence[str]) -> Part:
        """Tokenise a split and number its targets."""

    def refuse_unteachable(self, part: Part) -> None:
        """Raise DataError if a training split, though well-formed, cannot teach the task."""

    def objective(self, train: Part, recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """What training makes small, for torch tensors; see :data:`penjing.train.training_set.Objective`."""

    def settings_of(self, train: Part) -> dict[str, float]:
        """Settings of decoding that the training split tells by itself; empty where the task has none."""

    def tune(
        self, engine: Any, part: Part, outputs: Sequence[str], *, decoding: Mapping[str, float]
    ) -> dict[str, float]:
        """Settings of decoding that fit a validation split; empty where the task has none.

        Args:
            engine: runs the model: an Engine, or a Generator for a task that writes.
            part: the validation split.
            outputs: names of the head's outputs.
            decoding: from :meth:`settings_of`.
        """

    def judge(
        self,
        engine: Any,
        part: Part,
        outputs: Sequence[str],
        *,
        decoding: Mapping[str, float],
        name: str,
        progress: Progress,
    ) -> Judgement:
        """Answer every example of a split and score the answers, in flat memory."""

    def compare(
        self,
        baseline: npt.NDArray[np.int32],
        candidate: npt.NDArray[np.int32],
        *,
        part: Part,
        outputs: Sequence[str],
    ) -> Change:
        """What changed between two sets of answers to the same split."""

    def texts(self, examples: Sequence[Any]) -> list[Text]:
        """What a client would send of each example."""


class FixedDecoding:
    """What flows share whose answers follow from the outputs alone: no split tells a setting."""

    def wants_validation(self, train: Split[Any]) -> bool:
        """No."""
        del train
        return False

    def settings_of(self, train: Part) -> dict[str, float]:
        """None."""
        del train
        return {}

    def tune(
        self, engine: Any, part: Part, outputs: Sequence[str], *, decoding: Mapping[str, float]
    ) -> dict[str, float]:
        """Nothing to find."""
        del engine, part, outputs, decoding
        return {}


class WithoutLabels(FixedDecoding):
    """What flows share whose outputs have no names: tokens of a vocabulary, or numbers of a vector."""

    def outputs_for(self, labels: Sequence[str]) -> tuple[str, ...]:
        """None that have names."""
        del labels
        return ()

    def labels_behind(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """None."""
        del outputs
        return ()


def prepare(
    recipe: DataRecipe,
    flow: TaskFlow,
    text: TextSettings,
    *,
    seed: int,
    progress: Progress,
    outputs: Sequence[str] | None = None,
) -> PreparedData:
    """Read, check, split and tokenise.

    Args:
        recipe: sources, columns and policies.
        flow: of the task.
        text: how text becomes tokens.
        seed: of what is held out.
        progress: says what was found.
        outputs: those of a head that is there already; None is those that the training split's labels want.

    Raises:
        DataError, ResourceError, UsageError: from the readers; also labels that the head does not know.
        CheckpointError: from the tokenizer.
    """
    data = load_splits(recipe, flow.task, seed=seed)
    if data.validation is None and flow.wants_validation(data.train):
        # By the same seed the test split stays what it was; the validation split comes out of training.
        data = load_splits(recipe.model_copy(update={"validation_fraction": _HELD_OUT}), flow.task, seed=seed)
    for line in data.report.remarks():
        progress.say(f"  ! {line}")
    outputs = flow.outputs_for(data.labels) if outputs is None else _knowing(outputs, flow, data.labels)
    train, test = flow.part(data.train, text, outputs), flow.part(data.test, text, outputs)
    validation = flow.part(data.validation, text, outputs) if data.validation else None
    progress.say(
        f"{data.train.rows:,} training and {data.test.rows:,} test {_what(train, data.labels)}; "
        f"{train.tokens / (data.train.rows * train.together):.0f} tokens a text ({_how_long_texts_fare(train, text)})"
    )
    return PreparedData(data, outputs, train, test, validation)


def _knowing(outputs: Sequence[str], flow: TaskFlow, labels: Sequence[str]) -> tuple[str, ...]:
    known = flow.labels_behind(outputs)
    if strange := [label for label in labels if label not in known]:
        raise DataError(f"the model does not know the label {strange[0]!r}", expected=f"one of {', '.join(known)}")
    return tuple(outputs)


def _what(part: Part, labels: Sequence[str]) -> str:
    counted = f", {len(labels)} labels" if labels else ""
    return ("texts" if part.together == 1 else "pairs") + counted


def _how_long_texts_fare(part: Part, text: TextSettings) -> str:
    if part.windows is None:
        cut = float(np.mean([sequence.cut for sequence in part.sequences]))
        return f"{cut:.0%} cut at {text.max_tokens}"
    several = float(np.mean([len(windows) > 1 for windows in part.windows]))
    return f"{several:.0%} in windows of {text.max_tokens}"
