"""Two ways to keep attention inside each segment of a packed batch.

:class:`SegmentAttention` lays every sequence out alone and lets the fused kernel run without a
block mask: the fast way in training. :class:`RowAttention` keeps the rows and masks what crosses
a segment, in plain matrix products: the way that exports to any engine, and the reference the
other is tested against.

Both take and give flat tensors ``(cells, heads·size)`` where cells = rows·width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import Module, functional

# Relative-position families: (positions (batch, tokens)) -> (batch, heads, tokens, tokens), added to the scores.
PositionBias = Callable[[Tensor], Tensor]


class Attention(Protocol):
    """Softmax attention over flat queries, keys and values."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, heads: int) -> Tensor:
        """Contexts (cells, heads·size) of all cells."""

    def of_first(
        self, query: Module, hidden: Tensor, key: Tensor, value: Tensor, *, first: Tensor, heads: int
    ) -> Tensor:
        """Contexts (sequences, heads·size) of the first tokens alone; ``query`` projects hidden states."""


class RowAttention:
    """Attention over whole rows with a block-diagonal mask.

    Args:
        segment_ids: int64 (rows, width).
        position_ids: int64 (rows, width).
        bias: adds relative-position scores, where the family has them.
    """

    # Far below any score, yet finite in half precision too.
    FORBIDDEN = -3.0e4

    def __init__(self, segment_ids: Tensor, position_ids: Tensor, *, bias: PositionBias | None = None) -> None:
        self._shape = segment_ids.shape
        same = segment_ids[:, :, None] == segment_ids[:, None, :]
        self._scores = torch.where(same[:, None], 0.0, self.FORBIDDEN)
        if bias is not None:
            self._scores = self._scores + bias(position_ids)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, heads: int) -> Tensor:
        """See :class:`Attention`."""
        rows, width = self._shape
        size = query.shape[-1] // heads
        q, k, v = (part.reshape(rows, width, heads, size).transpose(1, 2) for part in (query, key, value))
        scores = (q * size**-0.5) @ k.transpose(-1, -2) + self._scores.to(q.dtype)
        context = torch.softmax(scores, dim=-1) @ v
        return context.transpose(1, 2).reshape(rows * width, heads * size)

    def of_first(
        self, query: Module, hidden: Tensor, key: Tensor, value: Tensor, *, first: Tensor, heads: int
    ) -> Tensor:
        """See :class:`Attention`. Computes all and keeps some: rows hold several first tokens."""
        return self(query(hidden), key, value, heads=heads)[first]


class SegmentAttention:
    """Attention over one sequence at a time, all of them in one fused call.

    Sequences are padded to the longest *for this step only*; the matrix products around it, nine
    tenths of the work, never see a padding token.

    Args:
        first: int64 (sequences,), flat index of each first token.
        lengths: int64 (sequences,).
        cells: rows·width of the batch.
        bias: adds relative-position scores, where the family has them.
    """

    def __init__(self, first: Tensor, lengths: Tensor, *, cells: int, bias: PositionBias | None = None) -> None:
        self._sequences, self._longest, self._cells = len(lengths), int(lengths.max()), cells
        steps = torch.arange(self._longest)
        inside = steps[None, :] < lengths[:, None]
        self._source = (first[:, None] + steps[None, :])[inside]  # cell of every real token
        self._slot = torch.arange(self._sequences * self._longest).view(self._sequences, -1)[inside]
        self._full = bool(inside.all()) and len(self._source) == cells
        self._mask = None if bool(inside.all()) else inside[:, None, None, :]
        if bias is not None:
            scores = bias(steps[None, :])
            self._mask = scores if self._mask is None else scores.masked_fill(~self._mask, float("-inf"))

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, heads: int) -> Tensor:
        """See :class:`Attention`."""
        q, k, v = (self._apart(part, heads) for part in (query, key, value))
        context = functional.scaled_dot_product_attention(q, k, v, attn_mask=self._mask_for(q))
        flat = context.transpose(1, 2).reshape(self._sequences * self._longest, -1)
        if self._full:
            return flat
        return flat.new_zeros(self._cells, flat.shape[-1]).index_copy(0, self._source, flat[self._slot])

    def of_first(
        self, query: Module, hidden: Tensor, key: Tensor, value: Tensor, *, first: Tensor, heads: int
    ) -> Tensor:
        """See :class:`Attention`. One query a sequence, where the full layer has one a token."""
        q = query(hidden[first]).view(self._sequences, 1, heads, -1).transpose(1, 2)
        k, v = self._apart(key, heads), self._apart(value, heads)
        mask = self._mask_for(q)
        if mask is not None:
            mask = mask[:, :, :1]
        context = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return context.reshape(self._sequences, -1)

    def _mask_for(self, query: Tensor) -> Tensor | None:
        if self._mask is None or self._mask.dtype == torch.bool:
            return self._mask
        return self._mask.to(query.dtype)

    def _apart(self, part: Tensor, heads: int) -> Tensor:
        """See :class:`Attention`."""
        if not self._full:
            spread = part.new_zeros(self._sequences * self._longest, part.shape[-1])
            part = spread.index_copy(0, self._slot, part[self._source])
        return part.view(self._sequences, self._longest, heads, -1).transpose(1, 2)
