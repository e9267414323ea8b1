"""From pairs to targets, from targets to a loss, and from outputs to vectors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.data import PairExample
from penjing.tasks.feature_extraction import TEMPERATURE, loss, shaped, targets_of, texts_of


def pair(text, other, score=None):
    return PairExample(text, other, score, "file:1")


def test_texts_stand_one_after_another():
    assert texts_of([pair("a", "b"), pair("c", "a")]) == ["a", "b", "c", "a"]
    assert texts_of([pair("a", None), pair("c", None)]) == ["a", "c"]


def test_equal_texts_have_one_number_and_pairs_without_a_score_none():
    targets = targets_of([pair("a", "b"), pair("c", "a")])
    assert targets[:, 1].tolist() == [0, 1, 2, 0]
    assert np.isnan(targets[:, 0]).all()


@pytest.mark.parametrize(
    ("scores", "expected"), [([0, 5], [0, 1]), ([1, 2, 5], [0, 0.25, 1]), ([0.2, 0.9], [0.2, 0.9]), ([-1, 1], [0, 1])]
)
def test_scores_beyond_a_share_are_brought_to_one(scores, expected):
    targets = targets_of([pair(str(at), "b", score) for at, score in enumerate(scores)])
    assert targets[::2, 0] == pytest.approx(expected)
    assert targets[1::2, 0] == pytest.approx(expected)


def cosine(one, other):
    return float(one @ other / (one.norm() * other.norm()))


def in_batch(vectors, numbers):
    """The definition, in loops."""
    total, count = 0.0, len(vectors) // 2
    for row in range(count):
        a, b = numbers[2 * row], numbers[2 * row + 1]
        others = [
            cosine(vectors[2 * row], vectors[2 * at + 1]) / TEMPERATURE
            for at in range(count)
            if at == row or (numbers[2 * at] != a and numbers[2 * at + 1] not in (a, b))
        ]
        total += math.log(sum(map(math.exp, others))) - cosine(vectors[2 * row], vectors[2 * row + 1]) / TEMPERATURE
    return total


@given(numbers=st.lists(st.integers(0, 5), min_size=2, max_size=12).filter(lambda one: len(one) % 2 == 0))
def test_in_batch_negatives_leave_copies_out(numbers):
    vectors = torch.from_numpy(np.random.default_rng(len(numbers)).normal(size=(len(numbers), 6)))
    targets = torch.tensor([[math.nan, number] for number in numbers], dtype=torch.float64)
    given_loss = float(loss(vectors, targets, torch.ones(len(numbers))))
    assert given_loss == pytest.approx(in_batch(vectors, numbers), abs=1e-9)


def test_scores_pull_cosines():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [1.0, 0.0]])
    targets = torch.tensor([[0.5, 0], [0.5, 1], [1.0, 2], [1.0, 3]], dtype=torch.float64)
    assert float(loss(vectors, targets, torch.ones(4))) == pytest.approx(0.25)


def test_vectors_are_cut_before_they_are_normalised():
    outputs = np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 1.0]], np.float32)
    assert shaped(outputs, normalised=False) is outputs
    np.testing.assert_allclose(shaped(outputs, normalised=True)[0], outputs[0] / 13, rtol=1e-6)
    np.testing.assert_allclose(shaped(outputs, normalised=True, dimensions=2), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert shaped(outputs, normalised=True).dtype == np.float32
    assert shaped(outputs[:0], normalised=True).shape == (0, 3)
