"""The rounding that training sees is the one that the engines do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.test_quantize import CALIBRATION, drawn
from export.making import exported
from penjing.compress.quantize import make_int8
from penjing.engines import open_engine
from penjing.engines.base import INPUTS, feed
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.loading import load_model
from penjing.models.packed import PackedEncoder, RowForward
from penjing.tokens import pack_sequences
from penjing.train.rounding import round_channels, round_inputs, rounded

DRAW = torch.Generator().manual_seed(0)


def apart(outputs, reference):
    return float(((outputs - reference) ** 2).mean() / reference.var())


@pytest.mark.parametrize(("engine", "bits"), [("onnxruntime", 7), ("openvino", 8)])
def test_the_engine_answers_as_the_rounded_model_does(engine, bits, tmp_path):
    """In the exported form, where padding is the same; OpenVINO's own rounding is finer, and imitated in kind alone."""
    unseen, _ = drawn(64, seed=11)
    forward = RowForward(PackedEncoder(load_model(inspect_checkpoint(exported("bert").checkpoint)))).eval()
    batch = pack_sequences(unseen)
    inputs = [torch.from_numpy(array) for array in feed(batch, INPUTS[:5]).values()]
    with torch.no_grad():
        whole = forward(*inputs).numpy()
        with rounded(weight_bits=bits):
            ours = forward(*inputs).numpy()
        assert np.array_equal(forward(*inputs).numpy(), whole), "nothing is rounded any more"
    file = make_int8(engine, exported("bert").onnx, target=tmp_path, calibration=CALIBRATION)
    opened = open_engine(engine, file, instances=1, precision="int8")
    theirs = opened.run(batch)
    opened.close()
    assert np.mean(theirs.argmax(axis=1) == ours.argmax(axis=1)) >= 0.95
    assert 0 < apart(whole, theirs) < 0.01
    if engine == "onnxruntime":
        assert apart(ours, theirs) < 0.1 * apart(whole, theirs)


@pytest.mark.parametrize(("bits", "largest"), [(7, 64), (8, 127)])
def test_weights_keep_their_largest_and_fall_on_steps(bits, largest):
    weights = torch.randn(5, 40, generator=DRAW)
    found = round_channels(weights, 2 ** (bits - 1))
    scales = weights.abs().amax(dim=1, keepdim=True) / largest
    assert torch.allclose(found.abs().amax(dim=1), weights.abs().amax(dim=1))
    assert torch.allclose(found / scales, (found / scales).round(), atol=1e-3)
    assert bool(((found - weights).abs() <= scales / 2 + 1e-6).all())


def test_inputs_have_256_steps_with_zero_among_them():
    inputs = torch.rand(7, 30, generator=DRAW) * 3 + 0.5
    inputs[0, 0] = 0.0
    found = round_inputs(inputs)
    assert found[0, 0] == 0
    assert found.unique().numel() <= 256
    assert (found - inputs).abs().max() <= 3.5 / 255 / 2 + 1e-6
    assert round_inputs(torch.zeros(2, 3)).abs().max() == 0


def test_the_gradient_passes_to_fp32_weights_under_their_own_names():
    layer, table = nn.Linear(6, 3), nn.Embedding(10, 6)
    before = layer.weight.detach().clone()
    with rounded(weight_bits=8):
        loss = layer(table(torch.tensor([1, 2, 3]))).square().sum()
        exact = functional.linear(table.weight[1:4], before, layer.bias)
        loss.backward()
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert torch.equal(layer.weight, before)
    assert float(layer.weight.grad.abs().sum()) > 0
    assert float(table.weight.grad[1:4].abs().sum()) > 0
    assert exact.shape == (3, 3)
