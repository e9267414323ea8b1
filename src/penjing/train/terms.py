"""What a student can be asked to match of its teacher, each a mean over the tokens of a text: (sequences,).

Plain functions over flat cells, with the formula in each docstring; :mod:`penjing.train.distillation` weighs them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from penjing.models.attention import RowAttention, SegmentLayout


def kl(ours: Tensor, theirs: Tensor, temperature: float) -> Tensor:
    """T² · Σ p·(log p − log q) with p = softmax(theirs/T), q = softmax(ours/T), over the last axis.

    T² keeps the gradient's size as T changes. Source: Hinton et al., arXiv 1503.02531, §2.
    """
    p = functional.log_softmax(theirs / temperature, dim=-1)
    q = functional.log_softmax(ours / temperature, dim=-1)
    return temperature**2 * (p.exp() * (p - q)).sum(dim=-1)


def mse(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean of (theirs − ours)² over the last axis. Source: Ba and Caruana, arXiv 1312.6184."""
    return (theirs - ours).square().mean(dim=-1)


def cosine(ours: Tensor, theirs: Tensor) -> Tensor:
    """1 − cos(ours, theirs) over the last axis."""
    return 1 - functional.cosine_similarity(ours, theirs, dim=-1)


def kl_over_tokens(ours: Tensor, theirs: Tensor, layout: SegmentLayout, *, temperature: float) -> Tensor:
    """:func:`kl` of each column over the tokens of a text, mean over the columns (start and end of an answer)."""
    padding = RowAttention.FORBIDDEN * temperature  # no probability, and no difference: both have it
    by_text = []
    for part in (ours, theirs):
        apart = layout.apart(part, part.shape[-1])[..., 0]  # (sequences, columns, longest)
        by_text.append(apart.masked_fill(~layout.inside[:, None], padding))
    return kl(by_text[0], by_text[1], temperature).mean(dim=1)


def mean_by_text(values: Tensor, lengths: Tensor) -> Tensor:
    """Mean (sequences,) of one value a token, or the values themselves where a text has one."""
    if len(values) == len(lengths):
        return values
    owner = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    return values.new_zeros(len(lengths)).index_add(0, owner, values) / lengths


def relation(
    ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor], layout: SegmentLayout, *, heads: int
) -> Tensor:
    """Σ p·(log p − log q) with p, q = softmax(a·bᵀ/√size) of theirs and ours; mean over tokens and heads, by text.

    With (query, key) it is attention itself, with (x, x) a relation of x, which has one shape at every width.
    Source: Wang et al., "MiniLMv2", arXiv 2012.15828, eq. 3.
    """
    q, p = (_log_shares(a, b, layout, heads) for a, b in (ours, theirs))
    by_token = (p.exp() * (p - q)).sum(dim=-1).mean(dim=1)  # (sequences, longest)
    return by_token.masked_fill(~layout.inside, 0.0).sum(dim=1) / layout.inside.sum(dim=1)


def mean_of(values: Sequence[Tensor]) -> Tensor:
    """Mean over layers or relations."""
    return torch.stack(list(values)).mean(dim=0)


def _log_shares(a: Tensor, b: Tensor, layout: SegmentLayout, heads: int) -> Tensor:
    left, right = layout.apart(a.float(), heads), layout.apart(b.float(), heads)
    scores = left @ right.transpose(-1, -2) * left.shape[-1] ** -0.5
    return functional.log_softmax(scores.masked_fill(~layout.inside[:, None, None, :], RowAttention.FORBIDDEN), dim=-1)
