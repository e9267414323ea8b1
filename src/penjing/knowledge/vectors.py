"""The vectors of all passages in memory, kept in step with the file, and the nearest of them: exact.

Trade: one product with all of them for each question. Measured in docs/decisions/0014.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penjing.core.errors import StoreError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _View:
    generation: int
    chunks: Ints
    matrix: Floats  # (chunks, dimensions), each row of length one


class Vectors:
    """See the module. May be used from several threads."""

    def __init__(self) -> None:
        self._view = _View(-1, np.zeros(0, np.int64), np.zeros((0, 0), np.float32))
        self._lock = threading.Lock()

    def follow(self, connection: sqlite3.Connection, *, generation: int) -> None:
        """Take over what changed. The connection must see one state of the file."""
        with self._lock:
            if self._view.generation != generation:
                self._view = _followed(self._view, connection, generation=generation)

    def nearest(self, vector: Floats, *, most: int) -> list[tuple[int, float]]:
        """(chunk, cosine) of the nearest passages, nearest first."""
        view = self._view
        if not len(view.chunks):
            return []
        cosines = view.matrix @ unit(vector)
        few = len(cosines) <= most
        best = np.arange(len(cosines)) if few else np.argpartition(-cosines, most - 1)[:most]
        best = best[np.argsort(-cosines[best], kind="stable")]
        return list(zip(view.chunks[best].tolist(), cosines[best].tolist(), strict=True))

    def cosines(self, vector: Floats, chunks: Sequence[int]) -> dict[int, float]:
        """The cosine of each of some passages; those without a vector are left out."""
        view, asked = self._view, np.array(chunks, np.int64)
        at = np.searchsorted(view.chunks, asked)
        there = at < len(view.chunks)
        there[there] = view.chunks[at[there]] == asked[there]
        told = view.matrix[at[there]] @ unit(vector) if there.any() else np.zeros(0, np.float32)
        return dict(zip(asked[there].tolist(), told.tolist(), strict=True))


def unit(vectors: Floats) -> Floats:
    """Vectors brought to length one, float32; those of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.float32(1e-12)), np.float32)


def _followed(view: _View, connection: sqlite3.Connection, *, generation: int) -> _View:
    """Passages never change under their number: the new ones are read, the old ones sorted out."""
    last = int(view.chunks[-1]) if len(view.chunks) else 0
    there = connection.execute("SELECT number FROM chunks WHERE vector IS NOT NULL AND number <= ?", (last,))
    stays = np.isin(view.chunks, np.array([row[0] for row in there], np.int64))
    new = connection.execute(
        "SELECT number, vector FROM chunks WHERE vector IS NOT NULL AND number > ? ORDER BY number", (last,)
    ).fetchall()
    chunks, matrix = view.chunks[stays], view.matrix[stays]
    if not new:
        return _View(generation, chunks, matrix)
    sizes = {len(row[1]) for row in new} | ({matrix.shape[1] * 4} if len(matrix) else set())
    if len(sizes) > 1:
        raise StoreError(
            "the knowledge base holds vectors of several sizes", expected="one", do="Build it again from its documents."
        )
    added = np.frombuffer(b"".join(row[1] for row in new), "<f4").reshape(len(new), -1)
    matrix = np.concatenate([matrix, unit(added)]) if len(matrix) else unit(added)
    return _View(generation, np.append(chunks, np.array([row[0] for row in new], np.int64)), matrix)
