from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    f1_score,
    mean_absolute_error,
    precision_score,
    r2_score,
    recall_score,
    root_mean_squared_error,
)

from penjing.core.errors import DataError
from penjing.evaluate import LabelsResult, LabelsScore, NumbersResult, compare_labels, compare_numbers, score_numbers

LABELS = ("a", "b", "丙", "never")


@pytest.fixture
def answers():
    rng = np.random.default_rng(2)
    true = rng.random((300, 4)) < [0.5, 0.2, 0.05, 0.0]
    shares = np.clip(0.5 * true + 0.65 * rng.random((300, 4)), 0, 1)
    return shares, true


def scored(shares, true, threshold=0.5):
    score = LabelsScore(LABELS, true)
    for rows in np.array_split(np.random.default_rng(0).permutation(len(true)), 5):
        score.add(rows, shares[rows], np.full(4, threshold))
    return score


def test_figures_are_scikit_learns(answers):
    shares, true = answers
    shares[:, 3] = 0
    result = scored(shares, true, 0.55).result()
    found = shares >= 0.55
    metrics = {name: figure.value for name, figure in result.metrics.items()}
    assert metrics["micro_f1"] == pytest.approx(f1_score(true, found, average="micro"))
    assert metrics["macro_f1"] == pytest.approx(f1_score(true[:, :3], found[:, :3], average="macro"))
    assert metrics["micro_precision"] == pytest.approx(precision_score(true, found, average="micro"))
    assert metrics["micro_recall"] == pytest.approx(recall_score(true, found, average="micro"))
    assert metrics["subset_accuracy"] == pytest.approx((true == found).all(axis=1).mean())
    assert [one.f1 for one in result.per_class[:3]] == pytest.approx(f1_score(true[:, :3], found[:, :3], average=None))
    assert result.per_class[3].f1 is None
    assert result.per_class[2].f1_low < result.per_class[2].f1 < result.per_class[2].f1_high
    assert LabelsResult.model_validate_json(result.model_dump_json()) == result


def test_texts_without_labels_that_are_given_none():
    score = LabelsScore(("a",), np.zeros((3, 1), bool))
    score.add(np.arange(3), np.zeros((3, 1)), np.array([0.5]))
    result = score.result()
    assert (result.metrics["subset_accuracy"].value, result.metrics["micro_f1"].value) == (1.0, 0.0)


def test_intervals_cover(answers):
    """The micro-F1 of fresh samples lies in the interval of one about 95 times in a hundred."""
    shares, true = answers
    rng, inside = np.random.default_rng(3), 0
    whole = scored(shares, true, 0.55).result().metrics["micro_f1"].value
    for _ in range(40):
        rows = rng.integers(0, 300, 300)
        figure = scored(shares[rows], true[rows], 0.55).result().metrics["micro_f1"]
        inside += figure.low <= whole <= figure.high
    assert inside >= 34


def test_a_paired_comparison_sees_what_changed(answers):
    shares, true = answers
    before, after = shares >= 0.55, shares >= 0.7
    changed = compare_labels(before, after, targets=true, labels=LABELS)
    difference = f1_score(true, after, average="micro") - f1_score(true, before, average="micro")
    assert changed.differences["micro_f1"].value == pytest.approx(difference)
    assert changed.agreement.value == pytest.approx((before == after).all(axis=1).mean())
    assert changed.per_class[0].lost == int((before & ~after & true)[:, 0].sum())
    same = compare_labels(before, before, targets=true, labels=LABELS)
    assert (same.f1_difference.low, same.f1_difference.high, same.agreement.value) == (0, 0, 1)
    with pytest.raises(DataError, match="answers of shapes"):
        compare_labels(before, after[:5], targets=true, labels=LABELS)


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(DataError, match="targets of shape"):
        LabelsScore(LABELS, np.zeros((0, 4), bool))
    with pytest.raises(DataError, match="that are NaN"):
        LabelsScore(("a",), np.ones((1, 1), bool)).add(np.array([0]), np.array([[np.nan]]), np.array([0.5]))
    with pytest.raises(DataError, match="NaN or infinite"):
        score_numbers(np.array([np.nan], np.float32), np.ones(1, np.float32))
    with pytest.raises(DataError, match="one for each text"):
        score_numbers(np.ones(2, np.float32), np.ones(1, np.float32))


def test_figures_of_numbers_are_scikit_learns():
    rng = np.random.default_rng(4)
    true = rng.normal(3000, 5, 200).astype(np.float32)
    given = (true + rng.normal(1, 2, 200)).astype(np.float32)
    result = score_numbers(given, true)
    metrics = {name: figure.value for name, figure in result.metrics.items()}
    assert metrics["r2"] == pytest.approx(r2_score(true, given), rel=1e-6)
    assert metrics["pearson"] == pytest.approx(np.corrcoef(true, given)[0, 1], rel=1e-6)
    assert metrics["mae"] == pytest.approx(mean_absolute_error(true, given), rel=1e-6)
    assert metrics["rmse"] == pytest.approx(root_mean_squared_error(true, given), rel=1e-6)
    assert all(figure.low <= figure.value <= figure.high for figure in result.metrics.values())
    assert NumbersResult.model_validate_json(result.model_dump_json()) == result


def test_constant_numbers_have_no_correlation_and_no_error():
    metrics = score_numbers(np.ones(5, np.float32), np.ones(5, np.float32)).metrics
    assert {name: figure.value for name, figure in metrics.items()} == {
        "r2": 0, "pearson": 0, "spearman": 0, "mae": 0, "rmse": 0,
    }  # fmt: skip


def test_a_shift_of_all_numbers_shows_in_the_comparison():
    true = np.random.default_rng(5).normal(size=100).astype(np.float32)
    changed = compare_numbers(true, true + 1, targets=true)
    assert changed.difference.high < -0.5
    assert changed.apart.value == pytest.approx(1)
    assert compare_numbers(true, true, targets=true).agreement.value == 1
