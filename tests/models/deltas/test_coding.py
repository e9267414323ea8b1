"""Every bit comes back; a low-bit form stays within half a step."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.core.errors import CheckpointError
from penjing.models.deltas.coding import from_low_bit, from_ulps, to_low_bit, to_ulps

STRANGE = [0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), 1e-45, -1e-45, 3.4e38, 1.0000001]
floats = st.floats(width=16) | st.sampled_from(STRANGE)


def bits(tensor):
    return tensor.contiguous().view(torch.uint8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@given(pairs=st.lists(st.tuples(floats, floats), min_size=1, max_size=20))
def test_steps_between_numbers_lead_there_and_back(dtype, pairs):
    tuned, base = (torch.tensor(column).to(dtype) for column in zip(*pairs, strict=True))
    coded = to_ulps(tuned, base)
    assert torch.equal(bits(from_ulps(coded, base)), bits(tuned))
    assert torch.equal(bits(from_ulps(coded, tuned, back=True)), bits(base))


def test_a_small_move_takes_few_bytes():
    base = torch.randn(100, 100)
    assert len(to_ulps(base + 1e-6, base)) < 2 * base.numel()
    assert len(to_ulps(base, base)) < 200


@pytest.mark.parametrize("spoilt", [b"", b"\x00\x01", None])
def test_bytes_of_another_tensor_are_refused(spoilt):
    base = torch.randn(8)
    coded = (
        to_ulps(base + 1, base)[:-3]
        if spoilt is None
        else torch.frombuffer(bytearray(spoilt or b"x"), dtype=torch.uint8)
    )
    with pytest.raises(CheckpointError):
        from_ulps(coded, base)


def test_a_bomb_is_not_inflated():
    coded = to_ulps(torch.zeros(1_000_000), torch.zeros(1_000_000))
    with pytest.raises(CheckpointError, match="expected 32 bytes"):
        from_ulps(coded, torch.zeros(8))


@pytest.mark.parametrize(("form", "steps", "bytes_"), [("int8", 127, 35), ("int4", 7, 18)])
def test_rounding_stays_within_half_a_step(form, steps, bytes_):
    difference = torch.randn(5, 7)
    codes, scale = to_low_bit(difference, form)
    assert len(codes) == bytes_
    found = from_low_bit(codes, scale, form, shape=(5, 7))
    assert bool(((found - difference).abs() <= difference.abs().amax(1, keepdim=True) / steps / 2 + 1e-7).all())


def test_signs_times_the_mean_size():
    difference = torch.tensor([[1.0, -3.0, 2.0], [0.0, 0.0, 0.0]])
    found = from_low_bit(*to_low_bit(difference, "sign"), "sign", shape=(2, 3))
    assert found.tolist() == [[2.0, -2.0, 2.0], [0.0, 0.0, 0.0]]


def test_codes_of_another_shape_are_refused():
    with pytest.raises(CheckpointError, match="int4 codes of a tensor of shape"):
        from_low_bit(*to_low_bit(torch.randn(4, 4), "int4"), "int4", shape=(4, 9))
