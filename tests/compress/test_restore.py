"""Layers that int8 spoils are found, ranked and returned to fp32, in both kinds."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from compress.test_quantize import CALIBRATION, answers, drawn
from export.making import exported
from penjing.compress.quantize import make_int8
from penjing.compress.ranking import error_of
from penjing.compress.restore import fewest, rank_layers
from penjing.engines import ENGINE_FILES

LAYER, SPOILT = "bert.encoder.layer.1.attention.output.dense", 3


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """The tiny BERT with one channel of values 3,000 times as large, and its reader's column as much smaller.

    In fp32 that changes nothing but rounding; the range of one channel leaves int8 no steps for the others.
    """
    model = onnx.load(exported("bert").onnx)
    by = 3000.0
    _scale(model, "layer.1.attention.self.value.weight", (SPOILT, slice(None)), by)
    _scale(model, "layer.1.attention.self.value.bias", (SPOILT,), by)
    _scale(model, "layer.1.attention.output.dense.weight", (slice(None), SPOILT), 1 / by)
    file = tmp_path_factory.mktemp("spoilt") / "model.onnx"
    onnx.save(model, file)
    return file


def _scale(model, ending, where, by):
    (weights,) = [one for one in model.graph.initializer if one.name.endswith(ending)]
    array = onnx.numpy_helper.to_array(weights).copy()
    array[where] *= by
    weights.CopyFrom(onnx.numpy_helper.from_array(array, weights.name))


@pytest.mark.parametrize("engine", sorted(ENGINE_FILES))
def test_the_layer_that_int8_spoils_is_found_and_returned(engine, spoilt, tmp_path):
    unseen, _ = drawn(60, seed=11)
    whole = answers("onnxruntime", exported("bert").onnx, unseen, precision="fp32")
    np.testing.assert_allclose(answers("onnxruntime", spoilt, unseen, precision="fp32"), whole, atol=1e-3)
    ranked = rank_layers(engine, spoilt, CALIBRATION, reads="first")
    assert len(ranked) == 23, "three layers of six matrices, three tables, pooler and classifier"
    assert [one.error for one in ranked] == sorted((one.error for one in ranked), reverse=True)
    errors = []
    for kept in ([], [one.layer for one in ranked[:4]]):
        target = tmp_path / str(len(kept))
        file = make_int8(engine, spoilt, target=target, calibration=CALIBRATION, reads="first", kept=kept)
        errors.append(error_of(answers(engine, file, unseen), whole))
    assert errors[0] > 1.5 * errors[1]
    if engine == "onnxruntime":  # OpenVINO's SmoothQuant takes the large channel into the weights
        assert ranked[0].told == LAYER
        assert ranked[0].error > 10 * ranked[1].error


@pytest.mark.parametrize("wanted", [1, 2, 3, 5, 8, 13, 20])
def test_the_fewest_that_hold_are_found_in_few_trials(wanted):
    asked = []

    def holds(count):
        asked.append(count)
        return count >= wanted

    assert fewest(20, holds) == wanted
    assert len(asked) == len(set(asked)) <= 9


def test_where_nothing_holds_all_were_tried():
    asked = []
    assert fewest(20, lambda count: bool(asked.append(count))) is None
    assert asked == [1, 2, 4, 8, 16, 20]
