from __future__ import annotations

import numpy as np
import pytest

from penjing.knowledge.confidence import FEATURES, Calibration, logistic


def test_a_logistic_regression_finds_its_weights_again():
    rng = np.random.default_rng(1)
    features = np.column_stack([rng.normal(size=(20_000, 2)), np.ones(20_000)])
    wanted = np.array([1.5, -0.7, 0.3])
    is_right = rng.random(20_000) < 1 / (1 + np.exp(-features @ wanted))
    np.testing.assert_allclose(logistic(features, is_right, ridge=0), wanted, atol=0.08)


def test_a_feature_that_never_varies_does_no_harm():
    features = np.column_stack([np.zeros(50), np.arange(50) / 50, np.ones(50)])
    weights = logistic(features, features[:, 1] > 0.5)
    assert np.isfinite(weights).all()
    assert weights[0] == pytest.approx(0)


def test_confidence_grows_with_score_and_lead():
    figures = Calibration()
    assert len(figures.weights) == len(FEATURES)
    assert figures.confidence(1, 0) < figures.confidence(2, 0)
    assert figures.confidence(1, 0.9) < figures.confidence(1, 0) < figures.confidence(1, None)
    assert 0 < figures.confidence(-1e6, None) < figures.confidence(1e6, 0) < 1
    assert figures.match(0.3) < 0.5 < figures.match(0.95)
