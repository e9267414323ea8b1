"""Thresholds of a cascade: the promise that they make, kept by simulation, and what cannot be promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom

from penjing.app.thresholds import _most_differing, find_thresholds, stage_of
from penjing.core.errors import GateRefusal
from penjing.engines import sureness
from penjing.evaluate.intervals import clopper_pearson


def drawn(texts: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Outputs of three stages, each better than the one before, and the right labels."""
    rng = np.random.default_rng(seed)
    right = rng.integers(0, 3, texts)
    hard = rng.normal(size=(texts, 3))
    outputs = [(np.eye(3)[right] * 4 + hard + rng.normal(size=(texts, 3)) * noise) * 2 for noise in (2.5, 1.2, 0.4)]
    return [one.astype(np.float32) for one in outputs], right


def agreement_of(found, outputs: list[np.ndarray]) -> float:
    pairs = zip(outputs[:-1], found.sureness_temperatures, strict=False)
    taken = stage_of(np.stack([sureness(one, at) for one, at in pairs]), found.threshold)
    answers = np.stack([one.argmax(axis=1) for one in outputs])[taken, np.arange(len(taken))]
    return float(np.mean(answers == outputs[-1].argmax(axis=1)))


def test_the_agreement_holds_as_often_as_was_promised():
    texts, right = drawn(60_000, seed=0)
    kept, shares = [], []
    for seed in range(60):
        rows = np.random.default_rng(seed).choice(len(right), 1500, replace=False)
        found = find_thresholds([one[rows] for one in texts], right[rows], agreement=0.97, confidence=0.9, seed=seed)
        kept.append(agreement_of(found, texts) >= 0.97)
        shares.append(found.shares[0].value)
    assert np.mean(kept) >= 0.85  # 0.9 promised; 0.85 lies two standard errors of 60 trials away
    assert np.mean(shares) > 0.1  # and it is not kept by never answering


def test_the_test_is_the_binomials_own():
    for texts, agreement, confidence in ((298, 0.99, 0.95), (299, 0.99, 0.95), (5000, 0.995, 0.9), (40, 0.8, 0.5)):
        most = _most_differing(texts, agreement=agreement, confidence=confidence)
        wanted = [d for d in range(texts) if binom.cdf(d, texts, 1 - agreement) <= 1 - confidence]
        assert most == (max(wanted) if wanted else -1)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (3, 10), (608, 610)])
def test_clopper_and_pearson_are_betas(successes, n):
    low, high = clopper_pearson(successes, n)
    assert low == pytest.approx(beta.ppf(0.025, successes, n - successes + 1) if successes else 0.0, abs=1e-9)
    assert high == pytest.approx(beta.ppf(0.975, successes + 1, n - successes) if successes < n else 1.0, abs=1e-9)


def test_few_texts_prove_nothing_and_the_refusal_says_how_many_would():
    outputs, right = drawn(200, seed=1)
    with pytest.raises(GateRefusal, match="at least 428"):
        find_thresholds(outputs, right, agreement=0.99, confidence=0.95, seed=0)
    enough, right = drawn(428, seed=1)
    find_thresholds([enough[-1], enough[-1]], right, agreement=0.99, confidence=0.95, seed=0)


def test_a_stage_that_knows_nothing_may_answer_nothing():
    outputs, right = drawn(1000, seed=2)
    noise = np.random.default_rng(3).normal(size=outputs[-1].shape).astype(np.float32)
    with pytest.raises(GateRefusal, match="may answer none"):
        find_thresholds([noise, outputs[-1]], right, agreement=0.99, confidence=0.95, seed=0)
