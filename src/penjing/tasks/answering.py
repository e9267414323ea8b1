"""From texts to token ids, and from a head's outputs to answers: the same in the server and without it.

An answerer knows its task; what calls it knows sequences and rows of outputs only. NumPy and
``tokenizers``, no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, final

import numpy as np
import numpy.typing as npt

from penjing.core.errors import InvalidRequestError, UsageError
from penjing.core.nouns import Embedding, Problem, Task, Translation
from penjing.tasks import (
    feature_extraction,
    multi_label,
    question_answering,
    regression,
    text_classification,
    token_classification,
)
from penjing.tasks.asked import Asked
from penjing.tasks.feature_extraction import Vector
from penjing.tasks.fill_mask import Filled, MaskAnswerer
from penjing.tasks.multi_label import LabelsPrediction
from penjing.tasks.question_answering import Answered, Decoding
from penjing.tasks.regression import NumberPrediction
from penjing.tasks.text_classification import Prediction
from penjing.tasks.token_classification import Aggregation, Entity
from penjing.tasks.translating import TranslationAnswerer
from penjing.tasks.translation import Translated
from penjing.tokens import Reads, Text, TextEncoder
from penjing.tokens.encode import Spelling
from penjing.tokens.masking import read_vocabulary
from penjing.tokens.windows import Window, WindowEncoder

Answer = Prediction | LabelsPrediction | NumberPrediction | list[Entity] | Answered | Vector | Filled | Translated
Floats = npt.NDArray[np.float32]


class Answerer(Protocol):
    """What a task makes of texts and outputs.

    Attributes:
        reads: what the head reads of each sequence.
        max_tokens: of one sequence.
        windowed: whether a longer text is read in windows; else it is cut.
        vocabulary_size: number of token ids.
    """

    reads: Reads
    max_tokens: int
    windowed: bool
    vocabulary_size: int

    def encode(self, texts: Sequence[Text]) -> Asked:
        """Tokenise."""

    def spell(self, texts: Sequence[str], *, special: bool) -> list[Spelling]:
        """The tokens of texts, uncut. See :meth:`penjing.tokens.encode.TextEncoder.spell`."""

    def decode(self, asked: Asked, outputs: Floats) -> Sequence[Answer]:
        """An answer a text.

        Args:
            asked: from :meth:`encode`.
            outputs: rows of all its sequences one after another, float32 (rows, outputs).
        """


def answerer(
    task: Task,
    tokenizer: Path,
    *,
    max_tokens: int,
    stride: int,
    outputs: Sequence[str],
    decoding: Mapping[str, float],
    embedding: Embedding | None = None,
    problem: Problem | None = None,
    translation: Translation | None = None,
) -> Answerer:
    """The answerer of a task.

    Args:
        task: what the model is for.
        tokenizer: ``tokenizer.json``.
        max_tokens: of one sequence, special tokens included.
        stride: by which windows overlap.
        outputs: names of the head's outputs.
        decoding: settings by which outputs become answers; those of other tasks are passed over.
        embedding: what an embedding model makes of a text.
        problem: what text classification answers with; None is one label.
        translation: languages and search of a translation model.

    Raises:
        CheckpointError: the tokenizer cannot be read.
        UsageError: a task that no answerer is for.
    """
    if task is Task.TEXT_CLASSIFICATION:
        encoder = TextEncoder(tokenizer, max_tokens=max_tokens)
        return ClassAnswerer(encoder, outputs, decoding=decoding, problem=problem)
    if task is Task.TOKEN_CLASSIFICATION:
        return EntityAnswerer(WindowEncoder(tokenizer, max_tokens=max_tokens, stride=stride), outputs)
    if task is Task.QUESTION_ANSWERING:
        windows = WindowEncoder(tokenizer, max_tokens=max_tokens, stride=stride)
        return SpanAnswerer(windows, Decoding.of(decoding))
    if task is Task.FEATURE_EXTRACTION and embedding is not None:
        return VectorAnswerer(TextEncoder(tokenizer, max_tokens=max_tokens), embedding)
    if task is Task.FILL_MASK:
        return MaskAnswerer(TextEncoder(tokenizer, max_tokens=max_tokens), read_vocabulary(tokenizer))
    if task is Task.TRANSLATION:
        return TranslationAnswerer(tokenizer, translation or Translation(), max_tokens=max_tokens)
    raise UsageError(f"task {task.value}", expected="one that has answers to texts")


@final
class ClassAnswerer:
    """Text classification: one sequence a text, cut to the limit; a label, several labels, or a number."""

    reads: Reads = "first"
    windowed = False

    def __init__(
        self,
        encoder: TextEncoder,
        labels: Sequence[str],
        *,
        decoding: Mapping[str, float],
        problem: Problem | None = None,
    ) -> None:
        self._encoder, self._labels, self._decoding, self._problem = encoder, labels, decoding, problem
        self.max_tokens = encoder.max_tokens
        self.vocabulary_size = encoder.vocabulary_size  # asked once: the tokenizer counts anew each time

    def encode(self, texts: Sequence[Text]) -> Asked:
        """See :class:`Answerer`."""
        return Asked(texts, self._encoder.encode(texts))

    def spell(self, texts: Sequence[str], *, special: bool) -> list[Spelling]:
        """See :class:`Answerer`."""
        return self._encoder.spell(texts, special=special)

    def decode(self, asked: Asked, outputs: Floats) -> list[Answer]:
        """See :class:`Answerer`."""
        del asked
        if self._problem is Problem.REGRESSION:
            return list(regression.decode(outputs))
        if self._problem is Problem.MULTI_LABEL:
            return list(multi_label.decode(outputs, self._labels, decoding=self._decoding))
        return list(text_classification.decode(outputs, self._labels, decoding=self._decoding))


@final
class VectorAnswerer:
    """Feature extraction: one sequence a text, cut to the limit, and one vector."""

    reads: Reads = "mean"
    windowed = False

    def __init__(self, encoder: TextEncoder, embedding: Embedding) -> None:
        self._encoder, self.embedding = encoder, embedding
        self.max_tokens = encoder.max_tokens
        self.vocabulary_size = encoder.vocabulary_size

    def encode(self, texts: Sequence[Text]) -> Asked:
        """See :class:`Answerer`.

        Raises:
            InvalidRequestError: a pair.
        """
        if pair := next((number for number, text in enumerate(texts, start=1) if not isinstance(text, str)), None):
            raise InvalidRequestError(
                f"text {pair} is a pair, and an embedding is of one text", do="Send the two texts one after the other."
            )
        return Asked(texts, self._encoder.encode(texts))

    def spell(self, texts: Sequence[str], *, special: bool) -> list[Spelling]:
        """See :class:`Answerer`."""
        return self._encoder.spell(texts, special=special)

    def decode(self, asked: Asked, outputs: Floats) -> list[Answer]:
        """See :class:`Answerer`."""
        del asked
        return list(feature_extraction.shaped(outputs, normalised=self.embedding.normalised))


@final
class EntityAnswerer:
    """Token classification: windows of each text, entities out of their tags."""

    reads: Reads = "tokens"
    windowed = True

    def __init__(self, encoder: WindowEncoder, tags: Sequence[str], *, aggregation: Aggregation = "first") -> None:
        self._encoder, self._tags, self._aggregation = encoder, tags, aggregation
        self.max_tokens = encoder.max_tokens
        self.vocabulary_size = encoder.vocabulary_size

    def encode(self, texts: Sequence[Text]) -> Asked:
        """See :class:`Answerer`."""
        windows = self._encoder.encode(texts)
        return Asked(texts, [window.encoding for own in windows for window in own], windows)

    def spell(self, texts: Sequence[str], *, special: bool) -> list[Spelling]:
        """See :class:`Answerer`."""
        return self._encoder.spell(texts, special=special)

    def decode(self, asked: Asked, outputs: Floats) -> list[Answer]:
        """See :class:`Answerer`."""
        return [
            token_classification.decode(
                text if isinstance(text, str) else text[1],
                windows,
                outputs=outputs_of,
                tags=self._tags,
                aggregation=self._aggregation,
            )
            for text, windows, outputs_of in _by_text(asked, outputs)
        ]


@final
class SpanAnswerer:
    """Question answering: windows of each pair of question and context, the best span over all of them."""

    reads: Reads = "tokens"
    windowed = True

    def __init__(self, encoder: WindowEncoder, how: Decoding) -> None:
        self._encoder, self._how = encoder, how
        self.max_tokens = encoder.max_tokens
        self.vocabulary_size = encoder.vocabulary_size

    def encode(self, texts: Sequence[Text]) -> Asked:
        """See :class:`Answerer`.

        Raises:
            InvalidRequestError: a text is no pair, or one of a pair is blank.
        """
        for index, text in enumerate(texts):
            if isinstance(text, str):
                raise InvalidRequestError(f"input {index} is a single text", expected="a question and a context")
            for what, part in zip(("question", "context"), text, strict=True):
                if not part.strip():
                    raise InvalidRequestError(f"the {what} of input {index} is blank", expected="some text")
        windows = self._encoder.encode(texts)
        return Asked(texts, [window.encoding for own in windows for window in own], windows)

    def spell(self, texts: Sequence[str], *, special: bool) -> list[Spelling]:
        """See :class:`Answerer`."""
        return self._encoder.spell(texts, special=special)

    def decode(self, asked: Asked, outputs: Floats) -> list[Answer]:
        """See :class:`Answerer`."""
        return [
            question_answering.decode(text[1], windows, outputs_of, how=self._how)
            for text, windows, outputs_of in _by_text(asked, outputs)
        ]


def _by_text(asked: Asked, outputs: Floats) -> Iterator[tuple[Text, list[Window], list[Floats]]]:
    """Each text with its windows and the outputs of each window."""
    at = 0
    for text, windows in zip(asked.texts, asked.windows or (), strict=True):
        lengths = [len(window) for window in windows]
        yield text, windows, np.split(outputs[at : at + sum(lengths)], np.cumsum(lengths)[:-1])
        at += sum(lengths)
