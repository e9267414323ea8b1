"""Text classification in the life-cycle commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, final

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part
from penjing.app.tasks.base import Judgement, TextSettings
from penjing.core.nouns import Task
from penjing.core.progress import Progress
from penjing.data import Split, TextExample
from penjing.engines import Engine
from penjing.engines.bulk import bulk_outputs
from penjing.evaluate import Change, ClassificationScore, PairedComparison
from penjing.tasks import text_classification
from penjing.tasks.text_classification import TEMPERATURE, balanced_weights, fit_temperature, targets_of, texts_of
from penjing.tokens import Reads, Text, TextEncoder
from penjing.train.recipe import TrainingRecipe


@final
class TextClassificationFlow:
    """See :class:`penjing.app.tasks.base.TaskFlow`. Predictions: int32 (rows,), class numbers."""

    task = Task.TEXT_CLASSIFICATION
    reads: Reads = "first"
    windowed = False

    def outputs_for(self, labels: Sequence[str]) -> tuple[str, ...]:
        """One output a label."""
        return tuple(labels)

    def labels_behind(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """The outputs themselves."""
        return tuple(outputs)

    def wants_validation(self, train: Split[TextExample]) -> bool:
        """No."""
        del train
        return False

    def part(self, split: Split[TextExample], text: TextSettings, outputs: Sequence[str]) -> Part:
        """One sequence a text, cut to the limit."""
        encoder = TextEncoder(text.tokenizer, max_tokens=text.max_tokens)
        return Part(split, encoder.encode(texts_of(split.examples)), targets_of(split.examples, outputs))

    def refuse_unteachable(self, part: Part) -> None:
        """Whatever was read has targets."""

    def objective(self, train: Part, recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """Cross-entropy; where the recipe says so, of classes weighted by their rarity and of smoothed targets."""
        balanced = recipe.class_weights == "balanced"
        weights = balanced_weights(np.asarray(train.targets)) if balanced else None
        return partial(text_classification.loss, class_weights=weights, label_smoothing=recipe.label_smoothing)

    def settings_of(self, train: Part) -> dict[str, float]:
        """None."""
        del train
        return {}

    def tune(
        self, engine: Engine, part: Part, outputs: Sequence[str], *, decoding: Mapping[str, float]
    ) -> dict[str, float]:
        """The temperature at which stated confidence fits best."""
        del decoding
        logits = np.zeros((len(part.sequences), len(outputs)), np.float32)
        for rows, found in bulk_outputs(engine, part.sequences):
            logits[rows] = found
        return {TEMPERATURE: fit_temperature(logits, np.asarray(part.targets))}

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
        """Accuracy, macro-F1, calibration."""
        score = ClassificationScore(outputs)
        predictions = np.zeros(len(part.sequences), np.int32)
        targets = np.asarray(part.targets)
        with progress.stage(name, total=part.tokens) as stage:
            for rows, logits in bulk_outputs(engine, part.sequences):
                score.add(logits / decoding.get(TEMPERATURE, 1.0), targets[rows])
                predictions[rows] = logits.argmax(axis=1)
                stage.advance(int(sum(len(part.sequences[row]) for row in rows)))
        return Judgement(score.result(), predictions)

    def compare(
        self,
        baseline: npt.NDArray[np.int32],
        candidate: npt.NDArray[np.int32],
        *,
        part: Part,
        outputs: Sequence[str],
    ) -> Change:
        """Paired by text."""
        comparison = PairedComparison(outputs)
        comparison.add_predictions(baseline, candidate, targets=np.asarray(part.targets))
        return comparison.result()

    def texts(self, examples: Sequence[TextExample]) -> list[Text]:
        """The text, or the pair."""
        return texts_of(examples)
