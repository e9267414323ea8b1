"""Token classification in the life-cycle commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part
from penjing.app.tasks.base import FixedDecoding, Judgement, TextSettings
from penjing.app.tasks.windowed import outputs_by_example
from penjing.core.nouns import Task
from penjing.core.progress import Progress
from penjing.data import Split, TaggedExample
from penjing.engines import Engine
from penjing.evaluate import Change, EntityComparison, EntityScore
from penjing.tasks import token_classification
from penjing.tasks.token_classification import NO_TARGET, tags_for, targets_of, word_probabilities
from penjing.tokens import Reads, Text
from penjing.tokens.tagging import Entity, entities_of, labels_of, tag_names
from penjing.tokens.windows import WindowEncoder
from penjing.train.recipe import TrainingRecipe

Ints = npt.NDArray[np.int32]


@final
class TokenClassificationFlow(FixedDecoding):
    """See :class:`penjing.app.tasks.base.TaskFlow`.

    Predictions: int32 (entities, 4): example, first word, word after the last, number of the label.
    """

    task = Task.TOKEN_CLASSIFICATION
    reads: Reads = "tokens"
    windowed = True

    def outputs_for(self, labels: Sequence[str]) -> tuple[str, ...]:
        """``O``, and a beginning and an inside of each label."""
        return tag_names(labels)

    def labels_behind(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """The labels of the tags."""
        return labels_of(outputs)

    def part(self, split: Split[TaggedExample], text: TextSettings, outputs: Sequence[str]) -> Part:
        """Windows of every text, with a tag for the first token of each word."""
        encoder = WindowEncoder(text.tokenizer, max_tokens=text.max_tokens, stride=text.stride)
        windows = encoder.encode([example.text for example in split.examples])
        targets = [
            target
            for example, own in zip(split.examples, windows, strict=True)
            for target in targets_of(example, own, outputs)
        ]
        weights = np.array([np.count_nonzero(target != NO_TARGET) for target in targets], np.int64)
        sequences = [window.encoding for own in windows for window in own]
        return Part(split, sequences, targets, weights, windows)

    def refuse_unteachable(self, part: Part) -> None:
        """Whatever was read has targets."""

    def objective(self, train: Part, recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """Cross-entropy over first tokens of words."""
        del train, recipe
        return token_classification.loss

    def judge(
        self,
        engine: Engine,
        part: Part,
        outputs: Sequence[str],
        *,
        decoding: Mapping[str, float],
        name: str,
        progress: Progress,
    ) -> Judgement:
        """F1 over whole entities."""
        del decoding
        labels = labels_of(outputs)
        score, number = EntityScore(labels), {label: at for at, label in enumerate(labels)}
        found: list[tuple[int, int, int, int]] = []
        with progress.stage(name, total=part.tokens) as stage:
            for row, logits in outputs_by_example(engine, part):
                example = part.split.examples[row]
                shares = word_probabilities(logits, (part.windows or ())[row], example.words)
                entities = entities_of(tags_for(shares, outputs)[0])
                score.add(entities, example.entities)
                found += [(row, first, last, number[label]) for first, last, label in entities]
                stage.advance(part.tokens_of(row))
        return Judgement(score.result(), np.array(sorted(found), np.int32).reshape(-1, 4))

    def compare(self, baseline: Ints, candidate: Ints, *, part: Part, outputs: Sequence[str]) -> Change:
        """Paired by sentence."""
        labels, rows = labels_of(outputs), part.split.rows
        comparison = EntityComparison(labels)
        before, after = (_by_example(found, labels, rows) for found in (baseline, candidate))
        for example, one, other in zip(part.split.examples, before, after, strict=True):
            comparison.add(one, other, true=example.entities)
        return comparison.result()

    def texts(self, examples: Sequence[TaggedExample]) -> list[Text]:
        """The texts."""
        return [example.text for example in examples]


def _by_example(found: Ints, labels: Sequence[str], rows: int) -> list[list[Entity]]:
    entities: list[list[Entity]] = [[] for _ in range(rows)]
    for row, first, last, label in found.tolist():
        entities[row].append((first, last, labels[label]))
    return entities
