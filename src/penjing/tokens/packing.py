"""Packing: many short sequences in few full rows, so that nothing is computed on padding.

A row holds several sequences one after another. Each token carries the number of its sequence
in the row (its *segment*, from 1; 0 is padding) and a position that restarts at 0. Attention
must stay inside a segment; heads gather the first token of each sequence, every token, those that the
sequence names, or the mean of all.

Promises: every sequence lands in exactly one row, whole and in order; rows are of one width.
Trades: best-fit decreasing leaves a few per cent of the cells empty, for a packing that takes
microseconds a sequence. Source: Krell et al., "Efficient sequence packing without
cross-contamination", arXiv 2107.02027.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from penjing.tokens.encode import Encoding

Ints = npt.NDArray[np.int64]
# What a head reads of each sequence: its first token, every one, the mean of all, or those that `Encoding.chosen`
# names: a head as wide as the vocabulary is not computed where nobody looks.
Reads = Literal["first", "tokens", "mean", "chosen"]

# Few widths: an engine prepares kernels for each shape it meets. Closer together where single texts and passages lie,
# for what a lone sequence leaves empty of its row is computed too.
WIDTHS = (16, 32, 64, 96, 128, 160, 192, 256, 384, 512, 1024, 2048, 4096, 8192)


def row_width(longest: int) -> int:
    """The smallest usual width that holds ``longest`` tokens (its multiple of 1024 past the table)."""
    for width in WIDTHS:
        if longest <= width:
            return width
    return -(-longest // 1024) * 1024


def pack_rows(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Best-fit decreasing: which sequences share a row. Each goes where it leaves the least room.

    Args:
        lengths: tokens of each sequence; each in 1..width.
        width: tokens a row holds.

    Returns:
        For each row the indices of its sequences.

    Raises:
        ValueError: a sequence is empty or wider than a row.
    """
    if lengths and not 0 < min(lengths) <= max(lengths) <= width:
        raise ValueError(f"lengths span {min(lengths)}..{max(lengths)}; a row takes 1..{width} tokens")
    by_room: list[list[int]] = [[] for _ in range(width + 1)]  # rows that have exactly this much room left
    rows: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        need = lengths[index]
        room = next((room for room in range(need, width + 1) if by_room[room]), None)
        if room is None:
            rows.append([])
            row, room = len(rows) - 1, width
        else:
            row = by_room[room].pop()
        rows[row].append(index)
        by_room[room - need].append(row)
    return rows


def pack_flat(sequences: Sequence[Encoding], *, reads: Reads = "first") -> PackedBatch:
    """All sequences in one row, in their order, without a padding cell: for a pass through torch."""
    width = sum(len(sequence.ids) for sequence in sequences)
    return pack_sequences(sequences, width=width, rows=[range(len(sequences))], reads=reads)


def places_read(sequence: Encoding, reads: Reads) -> Ints:
    """int64 (outputs,), where in a sequence the head gives a row of outputs."""
    if reads == "chosen" and sequence.chosen is not None:
        return sequence.chosen
    return np.arange(len(sequence) if reads in ("tokens", "chosen") else 1)


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Rows of packed sequences: what every engine and the training loop take.

    Attributes:
        input_ids, position_ids, segment_ids, token_type_ids: int64 (rows, width).
        first: int64 (sequences,), index of each sequence's first token in the flattened rows.
        lengths: int64 (sequences,), tokens of each sequence.
        order: int64 (sequences,), position of each sequence in the caller's list.
        reads: what the head reads of each sequence.
        cells: int64 (outputs,), flat index of the first cell of all that the head reads, sequence by sequence.
        counts: int64 (sequences,), how many of ``cells`` are of each sequence.
    """

    input_ids: Ints
    position_ids: Ints
    segment_ids: Ints
    token_type_ids: Ints
    first: Ints
    lengths: Ints
    order: Ints
    reads: Reads
    cells: Ints
    counts: Ints

    @property
    def spans(self) -> Ints:
        """int64 (outputs,), how many cells from each of ``cells`` on are read as one: their mean."""
        return self.lengths if self.reads == "mean" else np.ones_like(self.cells)

    @property
    def tokens(self) -> int:
        """Real tokens, padding not counted."""
        return int(self.lengths.sum())

    @property
    def fill(self) -> float:
        """Share of cells that hold real tokens."""
        return self.tokens / self.input_ids.size

    def shifted(self, offset: int) -> PackedBatch:
        """The same batch, its ``order`` counted from ``offset`` earlier."""
        return replace(self, order=self.order + offset)

    def sequence(self, at: int) -> Encoding:
        """A sequence as it came, ``cut`` and ``chosen`` aside; ``at`` counts in the batch's own order."""
        cells = slice(int(self.first[at]), int(self.first[at] + self.lengths[at]))
        return Encoding(self.input_ids.reshape(-1)[cells], self.token_type_ids.reshape(-1)[cells])

    def by_sequence(self, outputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Rows of outputs (one a cell that is read) apart by sequence, in the batch's own order."""
        return np.split(outputs, np.cumsum(self.counts)[:-1])

    def in_order(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Rows of outputs in the order of the caller's list, of which the batch must hold all."""
        if self.reads in ("tokens", "chosen"):
            apart = self.by_sequence(outputs)
            return np.concatenate([apart[at] for at in np.argsort(self.order)])
        placed = np.empty_like(outputs)
        placed[self.order] = outputs
        return placed


def token_cells(first: Ints, lengths: Ints) -> Ints:
    """Flat index of every token: int64 (tokens,), sequence by sequence."""
    begins = np.cumsum(lengths) - lengths
    return np.repeat(first - begins, lengths) + np.arange(lengths.sum())


def pack_sequences(
    sequences: Sequence[Encoding],
    *,
    width: int | None = None,
    rows: Sequence[Sequence[int]] | None = None,
    pad_id: int = 0,
    reads: Reads = "first",
) -> PackedBatch:
    """Lay sequences into rows.

    Args:
        sequences: what the tokenizer gave; none empty.
        width: tokens a row holds; by default the usual width for the longest sequence, or for the
            fullest of the given ``rows``.
        rows: which sequences go together; by default :func:`pack_rows` decides.
        pad_id: token id written into empty cells. Its value never reaches an answer.
        reads: what the head reads of each sequence.

    Raises:
        ValueError: no sequence, an empty one, or a row that holds more than ``width`` tokens.
    """
    if rows is None:
        lengths = list(map(len, sequences))
        width = width or row_width(max(lengths, default=1))
        rows = pack_rows(lengths, width)
    laid = [[sequences[index] for index in members] for members in rows]
    width = _width_for(laid, width)
    ids = np.full((len(rows), width), pad_id, np.int64)
    positions, segments, types = (np.zeros((len(rows), width), np.int64) for _ in range(3))
    first = []
    for row, members in enumerate(laid):
        at = 0
        for segment, sequence in enumerate(members, start=1):
            cells = (row, slice(at, at + len(sequence)))
            ids[cells], positions[cells], segments[cells] = sequence.ids, np.arange(len(sequence)), segment
            types[cells] = 0 if sequence.type_ids is None else sequence.type_ids
            first.append(row * width + at)
            at += len(sequence)
    order, firsts = np.array([index for members in rows for index in members], np.int64), np.array(first, np.int64)
    taken = np.array([len(sequence) for members in laid for sequence in members], np.int64)
    return PackedBatch(ids, positions, segments, types, firsts, taken, order, reads, *_cells_read(laid, firsts, reads))


def _cells_read(laid: Sequence[Sequence[Encoding]], first: Ints, reads: Reads) -> tuple[Ints, Ints]:
    """``cells`` and ``counts`` of a batch."""
    if reads in ("first", "mean"):
        return first, np.ones_like(first)
    places = [places_read(sequence, reads) for members in laid for sequence in members]
    counts = np.array([len(own) for own in places], np.int64)
    return np.repeat(first, counts) + np.concatenate(places), counts


def _width_for(rows: Sequence[Sequence[Encoding]], width: int | None) -> int:
    lengths = [[len(sequence) for sequence in members] for members in rows]
    if not any(lengths):
        raise ValueError("no sequences to pack")
    if any(0 in members for members in lengths):
        raise ValueError("a sequence without tokens; one stood for by its first token needs at least one")
    fullest = max(map(sum, lengths))
    if width is not None and fullest > width:
        raise ValueError(f"a row of {fullest} tokens; a row takes {width}")
    return width or row_width(fullest)
