"""Feature extraction (sentence embeddings) in the life-cycle commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part
from penjing.app.tasks.base import Judgement, TextSettings, WithoutLabels
from penjing.core.errors import DataError
from penjing.core.nouns import Task
from penjing.core.progress import Progress
from penjing.data import PairExample, Split
from penjing.engines import Engine
from penjing.engines.bulk import bulk_outputs
from penjing.evaluate import Change, PairScorer
from penjing.tasks import feature_extraction
from penjing.tasks.feature_extraction import each_text, targets_of
from penjing.tokens import Reads, Text, TextEncoder
from penjing.tokens.compact import encode_all
from penjing.train.recipe import TrainingRecipe

Ints = npt.NDArray[np.int32]


@final
class FeatureExtractionFlow(WithoutLabels):
    """See :class:`penjing.app.tasks.base.TaskFlow`.

    Predictions: int32 (texts, size), the bits of float32 vectors, of pairs one after another.
    """

    task = Task.FEATURE_EXTRACTION
    reads: Reads = "mean"  # a graph that pools by the first token reads that one alone, whatever it is told
    windowed = False

    def part(self, split: Split[PairExample], text: TextSettings, outputs: Sequence[str]) -> Part:
        """One sequence a text, cut to the limit; of pairs two, one after the other."""
        del outputs
        encoder = TextEncoder(text.tokenizer, max_tokens=text.max_tokens)
        sequences = encode_all(encoder, each_text(split.examples))
        targets, together = targets_of(split.examples), len(split.examples[0].texts)
        weights = np.arange(len(sequences)) % together == 0
        return Part(split, sequences, targets, weights.astype(np.int64), together=together)

    def refuse_unteachable(self, part: Part) -> None:
        """Texts alone teach nothing."""
        if part.together == 1:
            raise DataError(
                f"{part.split.source} has texts alone",
                expected="pairs of texts that mean the same, or pairs with a score",
                do="Name the second column (pair:), or publish the model as it is: penjing export MODEL --name NAME.",
            )

    def objective(self, train: Part, recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """Squared error of the cosine, or in-batch negatives."""
        del train, recipe
        return feature_extraction.loss

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
        """Spearman's ρ, or mean reciprocal rank and recall at 1; the vectors are kept in memory."""
        del outputs, decoding
        vectors = np.zeros((0, 0), np.float32)
        with progress.stage(name, total=part.tokens) as stage:
            for rows, given in bulk_outputs(engine, part.sequences, reads=self.reads):
                if not vectors.size:
                    vectors = np.zeros((len(part.sequences), given.shape[1]), np.float32)
                vectors[rows] = given
                stage.advance(int(sum(len(part.sequences[row]) for row in rows)))
        return Judgement(_scorer(part).result(vectors), vectors.view(np.int32))

    def compare(self, baseline: Ints, candidate: Ints, *, part: Part, outputs: Sequence[str]) -> Change:
        """On the same pairs, and text by text."""
        del outputs
        return _scorer(part).change(baseline.view(np.float32), candidate.view(np.float32))

    def texts(self, examples: Sequence[PairExample]) -> list[Text]:
        """The first text of each."""
        return [example.text for example in examples]


def _scorer(part: Part) -> PairScorer:
    return PairScorer(np.asarray(part.targets), paired=part.together > 1)
