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
Kept = tuple[int, ...] | None


class Attention(Protocol):
    """Softmax attention over flat queries, keys and values.

    ``kept`` says which of the encoder's heads these are, for scores that are each head's own; None is all.
    """

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, heads: int, kept: Kept = None) -> Tensor:
        """Contexts (cells, heads·size) of all cells."""

    def of_first(
        self, query: Module, hidden: Tensor, key: Tensor, value: Tensor, *, first: Tensor, heads: int, kept: Kept = None
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

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, heads: int, kept: Kept = None) -> Tensor:
        """See :class:`Attention`."""
        rows, width = self._shape
        size = query.shape[-1] // heads
        q, k, v = (part.reshape(rows, width, heads, size).transpose(1, 2) for part in (query, key, value))
        scores = (q * size**-0.5) @ k.transpose(-1, -2) + _of_heads(self._scores, kept).to(q.dtype)
        context = torch.softmax(scores, dim=-1) @ v
        return context.transpose(1, 2).reshape(rows * width, heads * size)

    def of_first(
        self, query: Module, hidden: Tensor, key: Tensor, value: Tensor, *, first: Tensor, heads: int, kept: Kept = None
    ) -> Tensor:
        """See :class:`Attention`. Computes all and keeps some: rows hold several first tokens."""
        return self(query(hidden), key, value, heads=heads, kept=kept)[first]


class SegmentLayout:
    """Where the cells of a packed batch lie once every sequence stands alone, padded to the longest.

    Args:
        first: int64 (sequences,), flat index of each first token.
        lengths: int64 (sequences,).
        cells: rows·width of the batch.

    Attributes:
        sequences, longest: of them, and tokens of the longest.
        inside: bool (sequences, longest), False on padding.
    """

    def __init__(self, first: Tensor, lengths: Tensor, *, cells: int) -> None:
        self.sequences, self.longest, self._cells = len(lengths), int(lengths.max()), cells
        steps = torch.arange(self.longest)
        self.inside = steps[None, :] < lengths[:, None]
        self._source = (first[:, None] + steps[None, :])[self.inside]  # cell of every real token
        self._slot = torch.arange(self.sequences * self.longest).view(self.sequences, -1)[self.inside]
        self._in_order = len(self._source) == cells and bool((self._source == torch.arange(cells)).all())
        self._full = bool(self.inside.all()) and self._in_order

    def apart(self, part: Tensor, heads: int) -> Tensor:
        """(cells, heads·size) → (sequences, heads, longest, size)."""
        if not self._full:
            real = part if self._in_order else part.index_select(0, self._source)
            part = part.new_zeros(self.sequences * self.longest, part.shape[-1]).index_copy(0, self._slot, real)
        return part.view(self.sequences, self.longest, heads, -1).transpose(1, 2)

    def together(self, contexts: Tensor) -> Tensor:
        """(sequences, heads, longest, size) → (cells, heads·size); zeros in cells without a token."""
        flat = contexts.transpose(1, 2).reshape(self.sequences * self.longest, -1)
        if self._full:
            return flat
        real = flat.index_select(0, self._slot)
        return real if self._in_order else flat.new_zeros(self._cells, flat.shape[-1]).index_copy(0, self._source, real)


class SegmentAttention:
    """Attention over one sequence at a time, all of them in one call.

    Sequences are padded to the longest *for this step only*; the matrix products around it, nine
    tenths of the work, never see a padding token. In bf16 the backward pass of the fused kernel
    takes five times as long as that of plain matrix products on short sequences, so there those
    are used while training (docs/experiments.md).

    Args:
        first: int64 (sequences,), flat index of each first token.
        lengths: int64 (sequences,).
        cells: rows·width of the batch.
        bias: adds relative-position scores, where the family has them.
    """

    # From here on the scores that plain products keep for the backward pass cost more than they gain.
    PLAIN_UP_TO = 256

    def __init__(self, first: Tensor, lengths: Tensor, *, cells: int, bias: PositionBias | None = None) -> None:
        self._layout = SegmentLayout(first, lengths, cells=cells)
        self._sequences, self._longest = self._layout.sequences, self._layout.longest
        inside = self._layout.inside
        self._mask = None if bool(inside.all()) else inside[:, None, None, :]
        if bias is not None:
            scores = bias(torch.arange(self._longest)[None, :])
            self._mask = scores if self._mask is None else scores.masked_fill(~self._mask, float("-inf"))

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, heads: int, kept: Kept = None) -> Tensor:
        """See :class:`Attention`."""
        q, k, v = (self._layout.apart(part, heads) for part in (query, key, value))
        return self._layout.together(self._attend(q, k, v, kept))

    def of_first(
        self, query: Module, hidden: Tensor, key: Tensor, value: Tensor, *, first: Tensor, heads: int, kept: Kept = None
    ) -> Tensor:
        """See :class:`Attention`. One query a sequence, where the full layer has one a token."""
        q = query(hidden[first]).view(self._sequences, 1, heads, -1).transpose(1, 2)
        k, v = self._layout.apart(key, heads), self._layout.apart(value, heads)
        return self._attend(q, k, v, kept).reshape(self._sequences, -1)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, kept: Kept) -> Tensor:
        """Contexts (sequences, heads, queries, size) of q, which has one query a sequence or one a token."""
        mask = self._mask if self._mask is None else _of_heads(self._mask[:, :, : q.shape[2]], kept)
        if q.dtype is torch.bfloat16 and self._longest <= self.PLAIN_UP_TO and torch.is_grad_enabled():
            return plain_attention(q, k, v, mask=mask)
        if mask is not None and mask.dtype is not torch.bool:
            mask = mask.to(q.dtype)
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _of_heads(scores: Tensor, kept: Kept) -> Tensor:
    """Those of some heads, of (batch, heads or 1, queries, tokens)."""
    return scores if kept is None or scores.shape[1] == 1 else scores[:, list(kept)]


def plain_attention(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None) -> Tensor:
    """What ``scaled_dot_product_attention`` computes, in two batched products."""
    sequences, heads, queries, size = q.shape
    if mask is None:
        added = q.new_zeros(1, 1, 1)
    else:
        scores = torch.where(mask, 0.0, float("-inf")) if mask.dtype is torch.bool else mask
        added = scores.to(q.dtype).expand(sequences, heads, -1, -1).reshape(sequences * heads, scores.shape[2], -1)
    q, k, v = (part.reshape(sequences * heads, -1, size) for part in (q, k, v))
    shares = torch.softmax(torch.baddbmm(added, q, k.transpose(1, 2), alpha=size**-0.5), dim=-1)
    return torch.bmm(shares, v).view(sequences, heads, queries, size)
