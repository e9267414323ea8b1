from __future__ import annotations

import numpy as np
import pytest
import torch

from penjing.core.errors import DataError
from penjing.data.multi_label import MultiLabelExample
from penjing.tasks import multi_label, regression
from penjing.tasks.multi_label import decode, fit_temperature, fit_thresholds, probabilities, targets_of, thresholds_of

LABELS = ("a", "乙")


def test_targets_are_zeros_and_ones():
    examples = [MultiLabelExample("x", labels, "a:1") for labels in ((), ("乙",), ("a", "乙"))]
    assert targets_of(examples, LABELS).tolist() == [[0, 0], [0, 1], [1, 1]]
    with pytest.raises(DataError, match="label 'z'"):
        targets_of([MultiLabelExample("x", ("z",), "a:1")], LABELS)


def test_the_loss_is_that_of_transformers():
    logits, targets = torch.tensor([[2.0, -1.0], [0.5, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    theirs = torch.nn.BCEWithLogitsLoss()(logits, targets)
    assert multi_label.loss(logits, targets, torch.ones(2)) / 2 == pytest.approx(float(theirs))


def test_probabilities_of_huge_logits():
    np.testing.assert_allclose(probabilities(np.array([[-1e4, 0, 1e4]], np.float32)), [[0, 0.5, 1]])


def test_every_label_at_its_threshold_is_given_the_most_probable_first():
    logits = np.array([[0.0, 3.0], [-9, -9], [1.0, 0.1]], np.float32)
    answers = decode(logits, LABELS, decoding={"threshold": 0.5})
    assert [one.labels for one in answers] == [("乙", "a"), (), ("a", "乙")]
    assert answers[0].scores == tuple(answers[0].probabilities[[1, 0]])
    strict = decode(logits, LABELS, decoding={"threshold/乙": 0.97, "temperature": 1.0})
    assert [one.labels for one in strict] == [("a",), (), ("a",)]
    assert thresholds_of({"threshold": 0.2, "threshold/a": 0.3}, LABELS).tolist() == [0.3, 0.2]
    assert decode(np.zeros((0, 2), np.float32), LABELS, decoding={}) == []


def test_the_temperature_of_a_known_model_is_found():
    rng = np.random.default_rng(0)
    true_logits = rng.normal(size=(4000, 2))
    targets = (rng.random((4000, 2)) < 1 / (1 + np.exp(-true_logits))).astype(np.float32)
    assert fit_temperature((3 * true_logits).astype(np.float32), targets) == pytest.approx(3, rel=0.1)
    assert 0.05 <= fit_temperature(np.zeros((3, 2), np.float32), targets[:3]) <= 20


def test_thresholds_are_those_of_the_highest_f1():
    shares = np.tile(np.array([0.1, 0.3, 0.35, 0.6, 0.9])[:, None], (20, 2))
    targets = np.column_stack([shares[:, 0] > 0.3, shares[:, 1] > 0.7]).astype(np.float32)
    found = fit_thresholds(shares, targets, LABELS)
    assert set(found) == {"threshold", "threshold/a", "threshold/乙"}
    assert 0.3 < found["threshold/a"] <= 0.35
    assert 0.6 < found["threshold/乙"] <= 0.9


def test_a_rare_label_does_not_take_a_threshold_that_fits_one_text():
    rng = np.random.default_rng(1)
    shares = rng.random((400, 2))
    targets = np.column_stack([shares[:, 0] > 0.5, np.zeros(400)]).astype(np.float32)
    found = fit_thresholds(shares, targets, LABELS)
    assert found["threshold/乙"] == pytest.approx(found["threshold"], abs=0.3)
    never = fit_thresholds(shares, np.zeros((400, 2), np.float32), LABELS)
    assert all(0 < value < 1 for value in never.values())


def test_a_regression_learns_in_units_of_its_spread():
    targets = np.array([5000, 5200, 5400], np.float32)
    scale = regression.Scale.of(targets)
    assert scale.mean == pytest.approx(5200)
    outputs = torch.from_numpy((targets - scale.mean) / scale.spread)[:, None].float()
    assert float(regression.loss(outputs, torch.from_numpy(targets), torch.ones(3), scale=scale)) < 1e-9
    assert regression.Scale.of(np.ones(3, np.float32)).spread == 1
