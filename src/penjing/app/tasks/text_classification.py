"""Text classification in the life-cycle commands: one label, several labels, or a number a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part
from penjing.app.tasks.base import Judgement, TextSettings
from penjing.app.tasks.problems import PROBLEMS, Outputs, ProblemFlow
from penjing.app.tasks.scope import ScopedLabel
from penjing.core.nouns import Problem, Task
from penjing.core.progress import Progress, Stage
from penjing.data import Split
from penjing.engines import Engine
from penjing.engines.bulk import bulk_outputs
from penjing.evaluate import Change
from penjing.tasks.text_classification import each_text, texts_of
from penjing.tokens import Reads, Text, TextEncoder
from penjing.tokens.compact import encode_all
from penjing.train.recipe import TrainingRecipe


@final
class TextClassificationFlow:
    """See :class:`penjing.app.tasks.base.TaskFlow`. Predictions: as the problem has them.

    Args:
        problem: what is answered with; None is one label.
    """

    task = Task.TEXT_CLASSIFICATION
    reads: Reads = "first"
    windowed = False

    def __init__(self, problem: Problem | None = None) -> None:
        self._problem = PROBLEMS[problem or Problem.SINGLE_LABEL]()

    def outputs_for(self, labels: Sequence[str]) -> tuple[str, ...]:
        """One output a label, or one for the number."""
        return self._problem.outputs_for(labels)

    def labels_behind(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """The outputs themselves; none of a number."""
        return self._problem.labels_behind(outputs)

    def wants_validation(self, train: Split[Any]) -> bool:
        """For several labels, whose thresholds are found on it, and to tell what is out of scope."""
        return self._of(train).wants_validation

    def part(self, split: Split[Any], text: TextSettings, outputs: Sequence[str]) -> Part:
        """One sequence a text, cut to the limit."""
        encoder = TextEncoder(text.tokenizer, max_tokens=text.max_tokens)
        targets = self._problem.targets(split.examples, outputs)
        return Part(split, encode_all(encoder, each_text(split.examples)), targets)

    def refuse_unteachable(self, part: Part) -> None:
        """Whatever was read has targets."""

    def objective(self, train: Part, recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """Cross-entropy, of all labels together or of each, or squared error."""
        return self._problem.objective(np.asarray(train.targets), recipe)

    def settings_of(self, train: Part) -> dict[str, float]:
        """None."""
        del train
        return {}

    def tune(
        self, engine: Engine, part: Part, outputs: Sequence[str], *, decoding: Mapping[str, float]
    ) -> dict[str, float]:
        """The temperature at which stated confidence fits best; of several labels the thresholds, too."""
        del decoding
        given = np.zeros((len(part.sequences), len(outputs)), np.float32)
        for rows, found in bulk_outputs(engine, part.sequences):
            given[rows] = found
        return self._of(part.split).settings(given, np.asarray(part.targets), outputs)

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
        """As the problem has it."""
        with progress.stage(name, total=part.tokens) as stage:
            given = _told(bulk_outputs(engine, part.sequences), part, stage)
            return self._of(part.split).judge(given, np.asarray(part.targets), outputs, decoding=decoding)

    def compare(
        self,
        baseline: npt.NDArray[np.int32],
        candidate: npt.NDArray[np.int32],
        *,
        part: Part,
        outputs: Sequence[str],
    ) -> Change:
        """Paired by text."""
        return self._problem.compare(baseline, candidate, targets=np.asarray(part.targets), names=outputs)

    def _of(self, split: Split[Any]) -> ProblemFlow:
        return self._problem if split.out_of_scope is None else ScopedLabel(split.out_of_scope)

    def texts(self, examples: Sequence[Any]) -> list[Text]:
        """The text, or the pair."""
        return texts_of(examples)


def _told(given: Outputs, part: Part, stage: Stage) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    """Outputs as they come, and the stage told of them once they are dealt with."""
    for rows, outputs in given:
        yield rows, outputs
        stage.advance(int(sum(len(part.sequences[row]) for row in rows)))
