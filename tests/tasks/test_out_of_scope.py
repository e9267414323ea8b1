"""What separates texts out of scope from those in scope."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from penjing.core.errors import DataError
from penjing.evaluate.scope import ScopeScore, area
from penjing.tasks.out_of_scope import fit_bias, surplus
from penjing.tasks.text_classification import BIAS, adjusted, decode

LABELS = ("a", "b", "oos")
OOS = 2


def drawn(seed, texts=200, lift=0.0):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, texts)
    logits = rng.normal(size=(texts, 3)).astype(np.float32)
    logits[np.arange(texts), targets] += 1.5
    logits[:, OOS] -= lift
    return logits, targets


def balance(logits, targets, bias):
    answers = adjusted(logits, LABELS, {BIAS + "oos": bias}).argmax(axis=1)
    outside = targets == OOS
    return (answers == targets)[~outside].mean() + (answers == OOS)[outside].mean()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), texts=st.integers(12, 80), lift=st.floats(0, 8))
def test_no_bias_of_a_fine_grid_is_better_than_the_one_found(seed, texts, lift):
    logits, targets = drawn(seed, texts, lift)
    if not 0 < (targets == OOS).sum() < texts:
        return
    found = balance(logits, targets, fit_bias(logits, targets, OOS))
    assert found >= max(balance(logits, targets, bias) for bias in np.linspace(-12, 12, 481)) - 1e-6


def test_a_label_that_was_rare_in_training_is_lifted():
    logits, targets = drawn(1, lift=4)
    bias = fit_bias(logits, targets, OOS)
    assert bias == pytest.approx(4, abs=1)
    assert balance(logits, targets, bias) > balance(logits, targets, 0) + 0.3
    assert balance(logits + 7, targets, fit_bias(logits + 7, targets, OOS)) == balance(logits, targets, bias)


@pytest.mark.parametrize(("targets", "kind"), [([0, 1, 1], "out of"), ([2, 2, 2], "in")])
def test_a_split_of_one_kind_cannot_settle_it(targets, kind):
    with pytest.raises(DataError, match=f"no text of the validation split is {kind} scope"):
        fit_bias(np.zeros((3, 3), np.float32), np.array(targets), OOS)


def test_answers_are_those_of_the_lifted_logits():
    logits = np.array([[2, 0, 1], [2, 0, 1.9]], np.float32)
    assert [one.label for one in decode(logits, LABELS)] == ["a", "a"]
    answers = decode(logits, LABELS, decoding={"bias/oos": 0.5, "temperature": 2.0})
    assert [one.label for one in answers] == ["a", "oos"]
    raised = np.exp(np.array([2, 0, 2.4]) / 2)
    assert answers[1].probabilities == pytest.approx(raised / raised.sum(), rel=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_that_of_scikit_learn_and_its_interval_covers(ties):
    rng, hits = np.random.default_rng(3), 0
    true = 0.7602  # P(N(1, 1) > N(0, 1))
    for _ in range(200):
        outside, inside = rng.normal(1, 1, 60), rng.normal(0, 1, 90)
        if ties:
            outside, inside = outside.round(1), inside.round(1)
        found = area(outside, inside)
        truth = np.r_[np.ones(60), np.zeros(90)]
        assert found.value == pytest.approx(roc_auc_score(truth, np.r_[outside, inside]))
        hits += found.low <= true <= found.high
    assert hits >= 182


def test_batches_add_up_and_one_kind_alone_measures_nothing():
    logits, targets = drawn(5)
    whole, parts = ScopeScore(), ScopeScore()
    for score, cuts in ((whole, [(0, 200)]), (parts, [(0, 7), (7, 7), (7, 200)])):
        for first, last in cuts:
            some, truth = logits[first:last], targets[first:last]
            score.add(surplus(some, OOS), truth == OOS, some.argmax(axis=1) == truth)
    assert whole.metrics() == parts.metrics()
    figures, answers = whole.metrics(), logits.argmax(axis=1)
    assert figures["out_of_scope_recall"].value == (answers == OOS)[targets == OOS].mean()
    assert figures["out_of_scope_precision"].value == (targets == OOS)[answers == OOS].mean()
    assert figures["in_scope_accuracy"].value == (answers == targets)[targets != OOS].mean()
    alone = ScopeScore()
    alone.add(np.ones(3), np.ones(3, bool), np.ones(3, bool))
    assert alone.metrics() == {}
    assert ScopeScore().metrics() == {}
