"""Plain Transformers as most people run it, to measure beside ours: fp32, padded to a fixed length.

It is asked in this process, without HTTP, and with all cores for each call: the comparison leans
its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.app.measure import System
from penjing.app.prepared import Part
from penjing.core.machine import usable_cores
from penjing.core.nouns import Measurement
from penjing.evaluate.intervals import share
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.loading import load_model
from penjing.models.quiet import quiet_transformers
from penjing.tasks.text_classification import texts_of
from penjing.tokens import Text

BATCH = 16


class TransformersPeer:
    """The same weights in Transformers.

    Args:
        checkpoint: a fine-tuned checkpoint directory.
        max_tokens: texts are cut and padded to this length, as in the article.
    """

    def __init__(self, checkpoint: Path, *, max_tokens: int) -> None:
        import torch
        from transformers import AutoTokenizer

        torch.set_num_threads(usable_cores())
        self.checkpoint = checkpoint
        self._torch: Any = torch
        self._model = load_model(inspect_checkpoint(checkpoint))
        with quiet_transformers():
            self._tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)
        self._max_tokens = max_tokens
        self._answers: dict[Text, int] = {}

    @property
    def system(self) -> System:
        """As the measurement wants it."""
        return System("Transformers fp32", lambda text: self._ask([text]), self._ask_all)

    def accuracy(self, part: Part) -> Measurement:
        """Share of the texts it was asked that it answered rightly."""
        rows = [row for row, text in enumerate(texts_of(part.split.examples)) if text in self._answers]
        texts = texts_of(part.split.examples[row] for row in rows)
        right = sum(self._answers[text] == part.targets[row] for text, row in zip(texts, rows, strict=True))
        return share(int(right), len(rows))

    def agreement(self, part: Part, predictions: np.ndarray) -> tuple[int, int]:
        """(answers equal to ``predictions``, texts asked)."""
        pairs = zip(texts_of(part.split.examples), predictions, strict=True)
        same = [self._answers[text] == int(prediction) for text, prediction in pairs if text in self._answers]
        return sum(same), len(same)

    def served_bytes(self) -> int:
        """Weights and tokenizer."""
        return sum((self.checkpoint / name).stat().st_size for name in ("model.safetensors", "tokenizer.json"))

    def _ask(self, texts: Sequence[Text]) -> None:
        options = {"padding": "max_length", "truncation": True, "max_length": self._max_tokens, "return_tensors": "pt"}
        tokens = self._tokenizer(list(texts), **options)
        with self._torch.inference_mode():
            answers = self._model(**tokens).logits.argmax(dim=-1).tolist()
        self._answers.update(zip(texts, answers, strict=True))

    def _ask_all(self, texts: Sequence[Text]) -> None:
        for at in range(0, len(texts), BATCH):
            self._ask(texts[at : at + BATCH])
