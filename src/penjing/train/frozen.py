"""Frozen layers give the same hidden states every epoch, so they are computed once.

Promise: the loop sees what it would have computed, to float16 rounding. Price: a temporary file
of two bytes a token and hidden unit (0.5 GB for 700,000 tokens of width 384), gone with the run.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from penjing.core.errors import PenjingError
from penjing.core.progress import Progress
from penjing.models.decoder import PackedModel
from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.tokens import Encoding, pack_flat
from penjing.train.recipe import TrainingRecipe

# Small passes, one thread each: a sixth faster here than large ones on all threads.
_PASS_SEQUENCES = 8


class FrozenFeatures:
    """Hidden states after the frozen layers, for every sequence of the training split.

    Args:
        encoder: its first ``layers`` layers are frozen.
        sequences: the training split.
        layers: how many.
        precision: fp32 or bf16, of the matrix products.
        progress: shows the one pass.
    """

    def __init__(
        self,
        encoder: PackedEncoder,
        sequences: Sequence[Encoding],
        *,
        layers: int,
        precision: str = "fp32",
        progress: Progress,
    ) -> None:
        self._layers, self._precision = layers, precision
        lengths = np.array([len(sequence) for sequence in sequences])
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        shape = (int(self._starts[-1]), int(encoder.model.config.hidden_size))
        self._states = _on_disk(shape)
        by_length = np.argsort(lengths, kind="stable")  # neighbours of one length: no padding in attention
        passes = np.split(by_length, range(_PASS_SEQUENCES, len(by_length), _PASS_SEQUENCES))
        fill = partial(self._fill, encoder, sequences)
        with (
            progress.stage(f"Running the {layers} frozen layers once", total=shape[0]) as stage,
            _one_thread_each() as workers,
            ThreadPoolExecutor(workers) as pool,
        ):
            for tokens in pool.map(fill, passes):
                stage.advance(tokens)

    @classmethod
    def for_run(
        cls,
        encoder: PackedModel,
        sequences: Sequence[Encoding],
        *,
        recipe: TrainingRecipe,
        precision: str = "fp32",
        progress: Progress,
    ) -> FrozenFeatures | None:
        """The features where they pay: frozen layers of an encoder, more than one epoch, and room for them."""
        if not isinstance(encoder, PackedEncoder):
            return None
        layers = recipe.frozen_layers
        size = sum(len(sequence) for sequence in sequences) * encoder.model.config.hidden_size * 2
        if layers == 0 or recipe.epochs <= 1 or size > recipe.frozen_cache_mib << 20:
            return None
        try:
            return cls(encoder, sequences, layers=layers, precision=precision, progress=progress)
        except OSError as error:
            progress.say(f"No room for the frozen layers' states ({error.strerror}); computing them each epoch.")
            return None

    def after(self, rows: npt.NDArray[np.int64]) -> tuple[int, Tensor]:
        """(layers, hidden states (tokens, hidden) of these sequences one after another, float32)."""
        parts = [self._states[self._starts[row] : self._starts[row + 1]] for row in rows]
        return self._layers, torch.from_numpy(np.concatenate(parts).astype(np.float32))

    def _fill(self, encoder: PackedEncoder, sequences: Sequence[Encoding], rows: npt.NDArray[np.int64]) -> int:
        chosen = [sequences[row] for row in rows]
        with torch.no_grad(), autocast(self._precision):
            states = encoder.hidden_after(self._layers, PackedTensors.of(pack_flat(chosen))).float().numpy()
        if not np.isfinite(states).all() or np.abs(states).max() > np.finfo(np.float16).max:
            raise PenjingError(
                "the frozen layers give hidden states that do not fit float16",
                expected=f"finite numbers up to {np.finfo(np.float16).max:.0f}",
                do="Set training.frozen_cache_mib to 0.",
            )
        at = 0
        for row, sequence in zip(rows, chosen, strict=True):
            self._states[self._starts[row] : self._starts[row + 1]] = states[at : at + len(sequence)]
            at += len(sequence)
        return at


def autocast(precision: str) -> AbstractContextManager[Any]:
    """The context in which matrix products are taken in ``precision``; a thread has its own."""
    return torch.autocast("cpu", dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


def _on_disk(shape: tuple[int, int]) -> npt.NDArray[np.float16]:
    """An array in a file that has no name and goes with the array.

    Raises:
        OSError: there is no room; it is taken here, for a map of a full disk ends the process at a later write.
    """
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, shape[0] * shape[1] * 2)
        return np.memmap(file, np.float16, "r+", shape=shape)


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Give each operation one thread while several run side by side; yields how many may."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)
