"""Translation as the server and its dialects ask for it: see :class:`penjing.tasks.answering.Answerer`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from penjing.core.errors import InvalidRequestError
from penjing.core.nouns import Translation
from penjing.tasks.asked import Asked
from penjing.tasks.translation import Translated, Translator, from_rows
from penjing.tokens import Encoding, Reads, Text
from penjing.tokens.encode import Spelling


@final
class TranslationAnswerer:
    """Translation: a sequence a passage, a row of outputs a sequence; blank texts have none and come back.

    Args:
        tokenizer: ``tokenizer.json``.
        how: languages and search.
        max_tokens: of a source, and of a translation.
    """

    reads: Reads = "chosen"
    windowed = True

    def __init__(self, tokenizer: Path, how: Translation, *, max_tokens: int) -> None:
        self.translator = Translator(tokenizer, how, max_tokens=max_tokens)
        self.max_tokens, self.vocabulary_size = max_tokens, self.translator.encoder.vocabulary_size

    def encode(self, texts: Sequence[Text]) -> Asked:
        """See :class:`Answerer`.

        Raises:
            InvalidRequestError: a pair, or a sentence that is too long.
        """
        sequences = []
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise InvalidRequestError(f"input {number} is a pair of texts", expected="one text to translate")
            sequences += [_sequence(one.ids) for one in self.translator.passages(text) if one.ids]
        return Asked(texts, sequences or [_sequence((self.translator.encoder.end_id,))])

    def spell(self, texts: Sequence[str], *, special: bool) -> list[Spelling]:
        """See :class:`Answerer`."""
        return self.translator.encoder.spell(texts, special=special)

    def decode(self, asked: Asked, outputs: npt.NDArray[np.float32]) -> list[Translated]:
        """See :class:`Answerer`."""
        answers, at, found = from_rows(outputs), 0, []
        for text in asked.texts:
            passages = self.translator.passages(str(text))
            count = sum(bool(one.ids) for one in passages)
            found.append(self.translator.translated(passages, answers[at : at + count]))
            at += count
        return found


def _sequence(ids: Sequence[int]) -> Encoding:
    return Encoding(np.array(ids, np.int64), chosen=np.zeros(1, np.int64))  # one row of outputs
