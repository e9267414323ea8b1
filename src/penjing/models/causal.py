"""Causal attention inside each segment of packed cells, in the form that Transformers' decoders call.

Promise: a token sees itself and the earlier tokens of its own sequence, no other, and where a layer has a
sliding window only as many of them. Padding stands after each sequence, so causality alone keeps it out, and
without a window no mask is made at all.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from penjing.models.attention import SegmentAttention, SegmentLayout, plain_attention

# What the attention is called in Transformers' table.
IMPLEMENTATION = "penjing_segments"


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    segments: SegmentLayout,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Contexts (1, cells, heads, size), as Transformers' attention functions give them.

    Args:
        module: the layer's attention; its dropout is not applied, as in encoders.
        query: (1, heads, cells, size).
        key: the same, maybe of fewer heads.
        value: as ``key``.
        attention_mask: None, since Transformers makes none for this attention.
        segments: where each sequence lies.
        scaling: of the scores; None is size^-½.
        sliding_window: tokens that a token sees, itself included; None is all.
        softcap: bound of the scores, where the family has one.
        others: what other attentions want to know.
    """
    del module, attention_mask, others
    heads, size = query.shape[1], query.shape[-1]
    q, k, v = (_apart(part[0], segments, heads=heads) for part in (query, key, value))
    scale = size**-0.5 if scaling is None else scaling
    mask = _windowed(segments.longest, sliding_window)
    if softcap is not None:
        contexts = _capped(q, k, v, mask=_causal(segments.longest) if mask is None else mask, scale=scale, cap=softcap)
    elif q.dtype is torch.bfloat16 and segments.longest <= SegmentAttention.PLAIN_UP_TO and torch.is_grad_enabled():
        mask = _causal(segments.longest) if mask is None else mask
        contexts = plain_attention(q * (scale * math.sqrt(size)), k, v, mask=mask[None, None])
    else:
        contexts = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale)
    return segments.together(contexts).view(1, -1, heads, v.shape[-1]), None


def _apart(part: Tensor, segments: SegmentLayout, *, heads: int) -> Tensor:
    """(own heads, cells, size) → (sequences, heads, longest, size): grouped heads are repeated."""
    own = part.shape[0]
    laid = segments.apart(part.transpose(0, 1).reshape(part.shape[1], -1), own)
    return laid if own == heads else laid.repeat_interleave(heads // own, dim=1)


def _causal(tokens: int) -> Tensor:
    return torch.ones(tokens, tokens, dtype=torch.bool).tril()


def _windowed(tokens: int, window: int | None) -> Tensor | None:
    """The mask (tokens, tokens) of a window that is shorter than the longest sequence; else None."""
    if window is None or window >= tokens:
        return None
    return _causal(tokens).triu(1 - window)


def _capped(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor, scale: float, cap: float) -> Tensor:
    scores = torch.tanh(q @ k.transpose(-1, -2) * scale / cap) * cap
    return torch.softmax(scores.masked_fill(~mask, float("-inf")), dim=-1) @ v
