"""Two plain products = the fused kernel, forwards and backwards, whatever the mask."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from penjing.models.attention import SegmentAttention, plain_attention

SEQUENCES, HEADS, TOKENS, SIZE = 3, 2, 7, 4


def parts(queries=TOKENS):
    torch.manual_seed(1)
    shapes = [(SEQUENCES, HEADS, count, SIZE) for count in (queries, TOKENS, TOKENS)]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def masks():
    inside = (torch.arange(TOKENS) < torch.tensor([7, 4, 1])[:, None])[:, None, None, :]
    bias = torch.randn(1, HEADS, TOKENS, TOKENS, dtype=torch.float64)
    return {"none": None, "lengths": inside, "bias": bias, "both": bias.masked_fill(~inside, float("-inf"))}


def fused(q, k, v, *, mask):
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


@pytest.mark.parametrize("queries", [TOKENS, 1])
@pytest.mark.parametrize("mask", ["none", "lengths", "bias", "both"])
def test_plain_products_equal_the_fused_kernel(mask, queries):
    chosen = masks()[mask]
    chosen = chosen if chosen is None else chosen[:, :, :queries]
    found = []
    for attend in (plain_attention, fused):
        inputs = parts(queries)
        contexts = attend(*inputs, mask=chosen)
        contexts.square().sum().backward()
        found.append([contexts.detach(), *(part.grad for part in inputs)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("limit", [0, 256])
@pytest.mark.parametrize("lengths", [(5, 3, 8), (4, 4), (1,)])
def test_bf16_in_training_is_near_the_float64_result_either_way(lengths, limit, monkeypatch):
    monkeypatch.setattr(SegmentAttention, "PLAIN_UP_TO", limit)
    counts = torch.tensor(lengths)
    first, cells = counts.cumsum(0) - counts, int(counts.sum())
    torch.manual_seed(2)
    exact = torch.randn(3, cells, HEADS * SIZE, dtype=torch.float64)
    found = {}
    for dtype in (torch.float64, torch.bfloat16):
        q, k, v = (part.to(dtype).requires_grad_() for part in exact)
        contexts = SegmentAttention(first, counts, cells=cells)(q, k, v, heads=HEADS)
        contexts.double().square().sum().backward()
        found[dtype] = [contexts.double().detach(), *(part.grad.double() for part in (q, k, v))]
    for one, other in zip(found[torch.float64], found[torch.bfloat16], strict=True):
        assert (one - other).abs().max() < 0.1
