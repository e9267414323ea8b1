"""From labels to targets, and from logits to answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.utils.class_weight import compute_class_weight

from penjing.core.errors import DataError
from penjing.data import TextExample
from penjing.tasks.text_classification import (
    balanced_weights,
    decode,
    fit_temperature,
    loss,
    probabilities,
    targets_of,
    texts_of,
)

LABELS = ("bad", "good", "neutral")


def example(text="t", label="good", pair=None):
    return TextExample(text=text, label=label, origin="file:1", pair=pair)


def test_texts_and_pairs_for_the_tokenizer():
    assert texts_of([example("one"), example("one", pair="two"), example("x", pair="")]) == [
        "one",
        ("one", "two"),
        ("x", ""),
    ]


def test_targets_are_places_in_the_list_of_labels():
    targets = targets_of([example(label=label) for label in ("neutral", "bad", "good", "bad")], LABELS)
    assert targets.tolist() == [2, 0, 1, 0]
    assert targets.dtype == np.int64
    assert targets_of([], LABELS).shape == (0,)


@pytest.mark.parametrize("label", ["Good", "", None])
def test_a_label_that_is_not_in_the_list_is_refused(label):
    with pytest.raises(DataError, match=rf"label {label!r}; expected one of bad, good, neutral"):
        targets_of([example(), example(label=label)], LABELS)


logits = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-1e4, 1e4, width=32))


@settings(deadline=None)
@given(logits=logits, shift=st.floats(-1e4, 1e4))
def test_probabilities_sum_to_one_and_know_no_shift(logits, shift):
    shares = probabilities(logits)
    assert shares.dtype == np.float64
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=-1), 1, rtol=1e-12)
    np.testing.assert_allclose(probabilities(logits.astype(np.float64) + shift), shares, atol=1e-9)
    reference = torch.softmax(torch.from_numpy(logits).double(), dim=-1)
    np.testing.assert_allclose(shares, reference, atol=1e-12)


def test_probabilities_worked_by_hand():
    shares = probabilities(np.array([[0.0, math.log(3.0)], [-1e30, 1e30]], np.float32))
    np.testing.assert_allclose(shares, [[0.25, 0.75], [0.0, 1.0]], atol=1e-7)


def test_the_answer_is_the_most_probable_label_with_all_probabilities():
    good, bad = decode(np.array([[0.0, 2.0, 1.0], [5.0, -5.0, 0.0]], np.float32), LABELS)
    assert (good.label, bad.label) == ("good", "bad")
    assert good.score == good.probabilities[1] == good.probabilities.max()
    assert good.probabilities.sum() == pytest.approx(1)


@settings(deadline=None)
@given(logits=arrays(np.float32, (4, 3), elements=st.floats(-50, 50, width=32)))
def test_every_answer_has_the_highest_share(logits):
    for row, answer in zip(logits, decode(logits, LABELS), strict=True):
        assert answer.score == answer.probabilities[LABELS.index(answer.label)] >= 1 / 3 - 1e-12
        assert row[LABELS.index(answer.label)] == pytest.approx(row.max(), abs=1e-4)


def test_of_equals_the_first_label_is_taken():
    (answer,) = decode(np.zeros((1, 3), np.float32), LABELS)
    assert (answer.label, answer.score) == ("bad", pytest.approx(1 / 3))


def test_the_loss_is_summed_over_sequences():
    logits, targets = torch.tensor([[0.0, 2.0, 1.0], [5.0, -5.0, 0.0]]), torch.tensor([1, 2])
    shares = probabilities(logits.numpy())
    summed = loss(logits, targets, torch.tensor([4, 7])).item()
    assert summed == pytest.approx(-math.log(shares[0, 1]) - math.log(shares[1, 2]), rel=1e-6)


def test_the_temperature_is_the_one_that_made_the_logits_too_sure():
    rng = np.random.default_rng(3)
    honest = rng.normal(0, 2, (4000, 3)).astype(np.float32)
    shares = probabilities(honest)
    targets = np.array([rng.choice(3, p=row) for row in shares])
    assert fit_temperature(honest, targets) == pytest.approx(1.0, rel=0.06)
    assert fit_temperature(honest * 2.5, targets) == pytest.approx(2.5, rel=0.06)


def test_a_few_texts_that_are_all_right_or_all_wrong_ask_for_no_extreme():
    logits = np.eye(3, dtype=np.float32) * 5
    assert 0.5 < fit_temperature(logits, np.arange(3)) < 1
    assert 2 < fit_temperature(logits, np.array([1, 2, 0])) < 20


def test_a_temperature_changes_confidence_and_no_answer():
    logits = np.array([[3.0, 1.0, 0.0], [0.0, 0.5, 9.0]], np.float32)
    plain, cool = decode(logits, LABELS), decode(logits, LABELS, decoding={"temperature": 4.0})
    assert [one.label for one in plain] == [one.label for one in cool]
    assert all(one.score > other.score for one, other in zip(plain, cool, strict=True))
    np.testing.assert_allclose(cool[0].probabilities, probabilities(logits / 4)[0])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_balanced_weights_are_scikit_learns(targets):
    known = sorted(set(targets))
    numbers = np.array([known.index(target) for target in targets], np.int64)
    weights = balanced_weights(numbers)
    expected = compute_class_weight("balanced", classes=np.unique(numbers), y=numbers)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert weights[numbers].mean() == pytest.approx(1, rel=1e-5)
    assert weights.dtype == np.float32


def test_weights_multiply_the_loss_of_their_class():
    found, targets = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 2, 2, 1])
    weights = np.array([2.0, 0.5, 3.0], np.float32)
    each = torch.stack([loss(found[row : row + 1], targets[row : row + 1], torch.ones(1)) for row in range(4)])
    expected = (each * torch.tensor([2.0, 3.0, 3.0, 0.5])).sum()
    assert float(loss(found, targets, torch.ones(4), class_weights=weights)) == pytest.approx(float(expected))


def test_a_smoothed_target_is_partly_every_label():
    found, targets = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 2, 2, 1, 0])
    spread = torch.full((5, 3), 0.1 / 3, dtype=torch.float64)
    spread[range(5), targets] += 0.9
    expected = -(spread * found.log_softmax(dim=1)).sum()
    assert float(loss(found, targets, torch.ones(5), label_smoothing=0.1)) == pytest.approx(float(expected))
