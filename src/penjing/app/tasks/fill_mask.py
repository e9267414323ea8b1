"""Fill-mask in the life-cycle commands.

A text is judged by guessing 15 % of its tokens, drawn by its place in the split alone, with the mask in the
place of each: the same masks for every model of a tokenizer, however it was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part
from penjing.app.tasks.base import Judgement, TextSettings, WithoutLabels
from penjing.core.nouns import Task
from penjing.core.progress import Progress
from penjing.data import Split, TextExample
from penjing.engines import Engine
from penjing.engines.bulk import bulk_token_outputs
from penjing.evaluate import Change, MaskedScorer
from penjing.tasks.fill_mask import losses_and_guesses
from penjing.tokens import Reads, Text, TextEncoder
from penjing.tokens.masking import Masker, MaskingRecipe, read_vocabulary
from penjing.train.recipe import TrainingRecipe

Ints = npt.NDArray[np.int32]
JUDGED = MaskingRecipe(rate=0.15, mask_share=1.0, random_share=0.0)


@final
class FillMaskFlow(WithoutLabels):
    """See :class:`penjing.app.tasks.base.TaskFlow`.

    Predictions: int32 (masks, 3): the likeliest token, and the two halves of −log p of the right one as float64.
    """

    task = Task.FILL_MASK
    reads: Reads = "chosen"
    windowed = False

    def part(self, split: Split[TextExample], text: TextSettings, outputs: Sequence[str]) -> Part:
        """One sequence a text, cut to the limit, with masks drawn for it."""
        del outputs
        vocabulary = read_vocabulary(text.tokenizer)
        masker = Masker(vocabulary, JUDGED)
        encoder = TextEncoder(text.tokenizer, max_tokens=text.max_tokens)
        sequences = encoder.encode([example.text for example in split.examples])
        drawn = [masker.draw(one, np.random.default_rng([0, row])) for row, one in enumerate(sequences)]
        targets = [own for _, own in drawn]
        counts = np.array([len(own) for own in targets], np.int64)
        trial = [f"{vocabulary.mask} {example.text}" for example in split.examples]
        return Part(split, [masked for masked, _ in drawn], targets, counts, trial=trial)

    def refuse_unteachable(self, part: Part) -> None:
        """Any text teaches."""

    def objective(self, train: Part, recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """Cross-entropy at the masks."""
        from penjing.train.language import token_loss  # late: it loads torch

        del train, recipe
        return token_loss

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
        """Accuracy at the masks, and perplexity."""
        del outputs, decoding
        losses = [np.zeros(0)] * len(part.sequences)
        guesses = [np.zeros(0, np.int64)] * len(part.sequences)
        with progress.stage(name, total=part.tokens) as stage:
            for row, logits in bulk_token_outputs(engine, part.sequences, reads=self.reads):
                losses[row], guesses[row] = losses_and_guesses(logits, part.targets[row])
                stage.advance(len(part.sequences[row]))
        told, lost = np.concatenate(guesses), np.concatenate(losses)
        kept = np.column_stack([told.astype(np.int32), lost[:, None].view(np.int32)])
        return Judgement(_scorer(part).result(told, lost), kept)

    def compare(self, baseline: Ints, candidate: Ints, *, part: Part, outputs: Sequence[str]) -> Change:
        """On the same masks."""
        del outputs
        return _scorer(part).change(_told(baseline), _told(candidate))

    def texts(self, examples: Sequence[TextExample]) -> list[Text]:
        """The texts."""
        return [example.text for example in examples]


def _told(kept: Ints) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    return kept[:, 0].astype(np.int64), np.ascontiguousarray(kept[:, 1:]).view(np.float64)[:, 0]


def _scorer(part: Part) -> MaskedScorer:
    """Texts of one origin are parts of one document: their masks are resampled together."""
    numbers: dict[str, int] = {}
    origin = [numbers.setdefault(example.origin, len(numbers)) for example in part.split.examples]
    counts = [len(own) for own in part.targets]
    return MaskedScorer(np.concatenate(list(part.targets)), np.repeat(np.array(origin, np.int64), counts))
