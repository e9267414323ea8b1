"""Translation in the life-cycle commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, final

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part
from penjing.app.tasks.base import Judgement, TextSettings, WithoutLabels
from penjing.core.errors import DataError, InvalidRequestError
from penjing.core.nouns import Task, Translation
from penjing.core.progress import Progress
from penjing.data import ParallelExample, Split
from penjing.engines import Generator
from penjing.evaluate import Change, TranslationScorer
from penjing.tasks import translation
from penjing.tasks.translation import Translated, Translator, pair_of
from penjing.tokens import Encoding, Reads, Text
from penjing.train.recipe import TrainingRecipe

Ints = npt.NDArray[np.int32]
WINDOW = 512  # texts that are sorted by length together
START = "decoder_start_token_id"


@final
class TranslationFlow(WithoutLabels):
    """See :class:`penjing.app.tasks.base.TaskFlow`.

    Predictions: the code points of all translations, a zero after each, so that they compare without a tokenizer.
    """

    task = Task.TRANSLATION
    reads: Reads = "chosen"
    windowed = False

    def part(self, split: Split[ParallelExample], text: TextSettings, outputs: Sequence[str]) -> Part:
        """A sequence a pair. A pair of which a side is longer than the limit teaches nothing, and is counted."""
        del outputs
        how = text.translation or Translation()
        translator = Translator(text.tokenizer, how, max_tokens=text.max_tokens)
        encoder = translator.encoder
        targets = encoder.encode_targets([one.target for one in split.examples])
        sequences, kept = [], []
        for example, target in zip(split.examples, targets, strict=True):
            source = encoder.encode(example.source)
            fits = max(len(source), len(target)) <= text.max_tokens
            sequences.append(pair_of(source, target, start=text.start) if fits else _nothing(encoder.end_id))
            kept.append(np.array(target if fits else [], np.int64))
            if split.name == "test" and not fits:
                _refuse_untranslatable(translator, example)
        return Part(split, sequences, kept, np.array(list(map(len, kept)), np.int64), encoder=translator)

    def refuse_unteachable(self, part: Part) -> None:
        """All pairs may be too long."""
        if part.weights is None or not part.weights.any():
            raise DataError(
                f"every pair of {part.split.source} has a side that is too long",
                expected="texts within text.max_tokens",
                do="Raise text.max_tokens, or part the texts into sentences.",
            )

    def objective(self, train: Part, recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """Cross-entropy of the target tokens; where the recipe says so, of smoothed targets."""
        del train
        return partial(translation.loss, label_smoothing=recipe.label_smoothing)

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
        """BLEU and chrF; long texts are parted and put together as in serving."""
        del outputs, decoding
        translations: list[str] = []
        with progress.stage(name, total=part.split.rows) as stage:
            for at in range(0, part.split.rows, WINDOW):
                texts = [one.source for one in part.split.examples[at : at + WINDOW]]
                translations += [one.text for one in translate(engine, part.encoder, texts)]
                stage.advance(len(texts))
        return Judgement(_scorer(part).result(translations), as_codes(translations))

    def compare(self, baseline: Ints, candidate: Ints, *, part: Part, outputs: Sequence[str]) -> Change:
        """Paired by text."""
        del outputs
        return _scorer(part).change(from_codes(baseline), from_codes(candidate))

    def texts(self, examples: Sequence[ParallelExample]) -> list[Text]:
        """The sources."""
        return [example.source for example in examples]


def translate(engine: Generator, translator: Translator, texts: Sequence[str]) -> list[Translated]:
    """Translations of some texts, batches by tokens, on all instances of the engine.

    Raises:
        InvalidRequestError: a text holds a sentence that is too long.
    """
    from penjing.engines.bulk import bulk_answers

    passages = [translator.passages(text) for text in texts]
    prompts = [translator.prompts(own) for own in passages]
    answers = iter(bulk_answers(engine, [one for own in prompts for one in own], translator.options))
    return [
        translator.translated(own, [next(answers)[0] for _ in asked])
        for own, asked in zip(passages, prompts, strict=True)
    ]


def as_codes(texts: Sequence[str]) -> Ints:
    """Texts as one array; see :class:`TranslationFlow`."""
    return np.frombuffer("".join(f"{text}\0" for text in texts).encode("utf-32-le"), np.int32)


def from_codes(codes: Ints) -> list[str]:
    """What :func:`as_codes` was given."""
    return codes.astype(np.int32).tobytes().decode("utf-32-le").split("\0")[:-1]


def _nothing(end: int) -> Encoding:
    return Encoding(np.array([end], np.int64), cut=True, chosen=np.zeros(0, np.int64))


def _refuse_untranslatable(translator: Translator, example: ParallelExample) -> None:
    """Raise DataError for a text that could not be judged, before a model is trained for it."""
    try:
        translator.passages(example.source)
    except InvalidRequestError as error:
        raise DataError(
            f"{example.origin}: {error.came}",
            expected=error.expected,
            do="Raise text.max_tokens, part the text into sentences, or leave the row out.",
        ) from error


def _scorer(part: Part) -> TranslationScorer:
    return TranslationScorer([one.target for one in part.split.examples])
