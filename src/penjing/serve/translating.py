"""A generating engine behind the protocol of engines that answer in one pass, so that translations go through the
server's one lane: batches by tokens, each text once, exactly one reply, a failure told to its own request alone.

Each sequence of a batch is a source; its row holds the whole answer, as :func:`penjing.tasks.translation.as_rows`
lays it out. Trade: an answer is whole or nothing, and the texts of a batch wait for its longest translation.
"""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt

from penjing.engines import Generator, Prompt
from penjing.tasks.translation import Translator, as_rows
from penjing.tokens import PackedBatch


@final
class TranslationRows:
    """See :class:`penjing.engines.base.Engine`.

    Args:
        generator: of an encoder-decoder.
        translator: what a prompt's answer begins with, and how it is searched for.
    """

    def __init__(self, generator: Generator, translator: Translator) -> None:
        self.name, self.instances = generator.name, generator.instances
        self._generator, self._translator = generator, translator

    def run(self, batch: PackedBatch) -> npt.NDArray[np.float32]:
        """See :meth:`Engine.run`: a row a sequence."""
        cells, prefix = batch.input_ids.reshape(-1), self._translator.encoder.prefix
        prompts = [
            Prompt(cells[begin : begin + length].tolist(), prefix)
            for begin, length in zip(batch.first.tolist(), batch.lengths.tolist(), strict=True)
        ]
        options = self._translator.options
        best = [answers[0] for answers in self._generator.generate(prompts, options)]
        return as_rows(best, tokens=options.max_tokens)

    def close(self) -> None:
        """See :meth:`Engine.close`."""
        self._generator.close()
