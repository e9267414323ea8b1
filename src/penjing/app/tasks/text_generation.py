"""Text generation in the life-cycle commands."""

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
from penjing.data import GenerationExample, Split
from penjing.engines import Generator
from penjing.evaluate import Change, perplexity_change, perplexity_of
from penjing.tasks import text_generation
from penjing.tokens import Encoding, Reads, Text
from penjing.tokens.taught import TeachingEncoder, targets_of
from penjing.tokens.windows import Window
from penjing.train.recipe import TrainingRecipe

Ints = npt.NDArray[np.int32]
_AT_ONCE = 32  # sequences scored in one call


@final
class TextGenerationFlow(WithoutLabels):
    """See :class:`penjing.app.tasks.base.TaskFlow`.

    Predictions: float32 (examples,) as int32, the sum of −log p over the tokens of each that count.
    """

    task = Task.TEXT_GENERATION
    reads: Reads = "chosen"
    windowed = True

    def part(self, split: Split[GenerationExample], text: TextSettings, outputs: Sequence[str]) -> Part:
        """Pieces of plain texts, completions after their prompts, conversations; cut to the limit but for the first."""
        del outputs
        encoder = TeachingEncoder(text.tokenizer, max_tokens=text.max_tokens, stride=text.stride)
        windows = [[_window(piece) for piece in _pieces(encoder, example)] for example in split.examples]
        sequences = [window.encoding for own in windows for window in own]
        targets = [targets_of(sequence) for sequence in sequences]
        return Part(split, sequences, targets, np.array(list(map(len, targets)), np.int64), windows)

    def refuse_unteachable(self, part: Part) -> None:
        """All prompts may be so long that nothing of the completions is left."""
        if part.weights is None or not part.weights.any():
            raise DataError(
                f"nothing of {part.split.source} is left to be taught once texts are cut",
                expected="completions or answers within text.max_tokens",
                do="Raise text.max_tokens, or shorten the prompts.",
            )

    def objective(self, train: Part, recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """Cross-entropy of the tokens that count."""
        del train, recipe
        return text_generation.loss

    def judge(
        self,
        engine: Generator,
        part: Part,
        outputs: Sequence[str],
        *,
        decoding: Mapping[str, float],
        name: str,
        progress: Progress,
    ) -> Judgement:
        """Perplexity of the tokens that count."""
        del outputs, decoding
        owners = [row for row, own in enumerate(part.windows or ()) for _ in own]
        losses, counts = np.zeros(part.split.rows), np.zeros(part.split.rows, np.int64)
        rows = sorted(
            (row for row, sequence in enumerate(part.sequences) if len(targets_of(sequence))),
            key=lambda row: len(part.sequences[row]),
        )
        with progress.stage(name, total=part.tokens) as stage:
            for at in range(0, len(rows), _AT_ONCE):
                taken = rows[at : at + _AT_ONCE]
                found = engine.score([part.sequences[row].ids.tolist() for row in taken])
                for row, logprobs in zip(taken, found, strict=True):
                    chosen = part.sequences[row].chosen
                    own = logprobs if chosen is None else logprobs[chosen]
                    losses[owners[row]] -= float(own.sum(dtype=np.float64))
                    counts[owners[row]] += len(own)
                stage.advance(sum(len(part.sequences[row]) for row in taken))
        return Judgement(perplexity_of(losses, counts), losses.astype(np.float32).view(np.int32))

    def compare(self, baseline: Ints, candidate: Ints, *, part: Part, outputs: Sequence[str]) -> Change:
        """Paired by example."""
        del outputs
        counts = [sum(len(targets_of(window.encoding)) for window in own) for own in part.windows or ()]
        return perplexity_change(baseline.view(np.float32), candidate.view(np.float32), counts)

    def texts(self, examples: Sequence[GenerationExample]) -> list[Text]:
        """Prompts, and the first words of plain texts."""
        return [_asked(example) for example in examples]


def _asked(example: GenerationExample) -> str:
    if example.messages:
        return next((content for role, content in example.messages if role == "user"), "")
    return example.text[:100] if example.prompt is None else example.prompt


def _pieces(encoder: TeachingEncoder, example: GenerationExample) -> list[Encoding]:
    if example.messages:
        turns = [{"role": role, "content": content} for role, content in example.messages]
        return [encoder.chat(turns, origin=example.origin)]
    if example.prompt is None:
        return encoder.text(example.text)
    return [encoder.completion(example.prompt, example.text)]


def _window(encoding: Encoding) -> Window:
    """A window whose tokens have no place in a text of their own."""
    nowhere = np.full(len(encoding), -1, np.int64)
    return Window(encoding, nowhere, nowhere, np.ones(len(encoding), bool))
