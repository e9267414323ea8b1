"""Many sequences through an engine, in bounded memory and with all its instances busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from penjing.engines.base import Engine
from penjing.engines.generating import Continuation, GenerationOptions, Generator, Prompt
from penjing.tokens import Encoding, PackedBatch, Reads, pack_rows, pack_sequences, row_width

# Sequences planned together: enough choice to fill rows well, few enough to stay small in memory.
_WINDOW = 2048
# Tokens a call: past this, larger calls gain no throughput on a CPU core.
BATCH_TOKENS = 512

Floats = npt.NDArray[np.float32]
Answers = tuple[npt.NDArray[np.int64], Floats]


def packed_batches(
    sequences: Sequence[Encoding], *, batch_tokens: int = BATCH_TOKENS, reads: Reads = "first"
) -> Iterator[PackedBatch]:
    """Pack a long list window by window. ``order`` of each batch indexes ``sequences``."""
    for start in range(0, len(sequences), _WINDOW):
        window = sequences[start : start + _WINDOW]
        lengths = [len(sequence) for sequence in window]
        width = row_width(max(lengths))
        rows = pack_rows(lengths, width)
        step = max(1, batch_tokens // width)
        for at in range(0, len(rows), step):
            yield pack_sequences(window, width=width, rows=rows[at : at + step], reads=reads).shifted(start)


def bulk_outputs(
    engine: Engine, sequences: Sequence[Encoding], *, batch_tokens: int = BATCH_TOKENS, reads: Reads = "first"
) -> Iterator[Answers]:
    """Outputs of all sequences, one row each, batch by batch, in no particular order of sequences.

    Args:
        engine: runs the batches.
        sequences: at least one.
        batch_tokens: of a batch.
        reads: ``first`` or ``mean``: what a row is of.

    Yields:
        (indices int64 (n,), outputs float32 (n, outputs)): which sequences, and their outputs.
    """
    for batch, outputs in _run_all(engine, packed_batches(sequences, batch_tokens=batch_tokens, reads=reads)):
        yield batch.order, outputs


def bulk_token_outputs(
    engine: Engine, sequences: Sequence[Encoding], *, batch_tokens: int = BATCH_TOKENS, reads: Reads = "tokens"
) -> Iterator[tuple[int, Floats]]:
    """Outputs of tokens of all sequences, in no particular order of sequences.

    Args:
        engine: runs the batches.
        sequences: at least one.
        batch_tokens: of a batch.
        reads: ``tokens``, or ``chosen`` for those alone that the sequences name.

    Yields:
        (index, outputs float32 (tokens, outputs)): which sequence, and its outputs.
    """
    batches = packed_batches(sequences, batch_tokens=batch_tokens, reads=reads)
    for batch, outputs in _run_all(engine, batches):
        yield from zip(batch.order.tolist(), batch.by_sequence(outputs), strict=True)


def _run_all(engine: Engine, batches: Iterator[PackedBatch]) -> Iterator[tuple[PackedBatch, Floats]]:
    def run(batch: PackedBatch) -> tuple[PackedBatch, Floats]:
        return batch, engine.run(batch)

    first = list(islice(batches, 2))
    if len(first) == 1:  # a question, say: a thread of its own would cost and gain nothing
        yield run(first[0])
        return
    batches = chain(first, batches)
    with ThreadPoolExecutor(engine.instances) as pool:
        waiting: deque[Future[tuple[PackedBatch, Floats]]] = deque(
            pool.submit(run, batch) for batch in islice(batches, 2 * engine.instances)
        )
        while waiting:
            answer = waiting.popleft().result()
            waiting.extend(pool.submit(run, batch) for batch in islice(batches, 1))
            yield answer


def bulk_answers(
    generator: Generator, prompts: Sequence[Prompt], options: GenerationOptions, *, batch_tokens: int = BATCH_TOKENS
) -> list[list[Continuation]]:
    """Answers to many prompts, in their order: those of like length in one batch, all instances busy."""
    answers: list[list[Continuation]] = [[] for _ in prompts]
    rows = sorted(range(len(prompts)), key=lambda row: -len(prompts[row].ids))  # the longest first: they end last

    def run(some: list[int]) -> None:
        for row, found in zip(some, generator.generate([prompts[row] for row in some], options), strict=True):
            answers[row] = found

    with ThreadPoolExecutor(generator.instances) as pool:
        for done in [pool.submit(run, some) for some in _budgeted(rows, prompts, batch_tokens)]:
            done.result()
    return answers


def _budgeted(rows: Sequence[int], prompts: Sequence[Prompt], tokens: int) -> Iterator[list[int]]:
    """Rows, ordered by falling length, in batches of so many tokens, padding counted."""
    batch: list[int] = []
    for row in rows:
        if batch and (len(batch) + 1) * len(prompts[batch[0]].ids) > tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
