"""Scores of embeddings are their definitions; intervals hold them; a comparison is paired."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from penjing.core.errors import DataError
from penjing.evaluate import EmbeddingChange, EmbeddingResult, PairScorer
from penjing.evaluate.embeddings import ranks_of, unit
from penjing.evaluate.resampling import resample
from penjing.evaluate.spearman import spearman


def vectors_for(count, seed=0, size=8):
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


def targets(numbers, scores=None):
    column = np.full(len(numbers), np.nan) if scores is None else np.repeat(np.array(scores, np.float64), 2)
    return np.column_stack([column, numbers])


NUMBERS = st.lists(st.integers(0, 6), min_size=2, max_size=16).filter(lambda one: len(one) % 2 == 0)


@given(numbers=NUMBERS, seed=st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_ranks_are_their_definition(numbers, seed):
    """By the text of each: other right answers and copies of the question are no rivals."""
    by_number = unit(vectors_for(7, seed))
    vectors, expected = by_number[numbers].astype(np.float32), []
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    for a, b in pairs:
        right = {other for asked, other in pairs if asked == a} | {a}
        rivals = {other for _, other in pairs} - right
        exact = unit(vectors)
        place = {number: exact[at] for at, number in enumerate(numbers)}
        expected.append(1 + sum(place[a] @ place[rival] >= place[a] @ place[b] for rival in rivals))
    assert ranks_of(vectors, np.array(numbers)).tolist() == expected


def test_a_model_that_sees_no_difference_is_not_rewarded():
    result = PairScorer(targets(range(20)), paired=True).result(np.ones((20, 4), np.float32))
    assert result.metrics["recall_at_1"].value == 0
    assert result.metrics["mrr"].value == pytest.approx(0.1)


def test_a_perfect_model():
    vectors = np.repeat(np.eye(9, dtype=np.float32), 2, axis=0)
    result = PairScorer(targets(range(18)), paired=True).result(vectors)
    assert (result.metrics["mrr"].value, result.metrics["recall_at_1"].value, result.n) == (1, 1, 9)
    assert result.headlines == ("mrr", "recall_at_1")
    assert EmbeddingResult.model_validate_json(result.model_dump_json()) == result


@given(
    values=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=30), seed=st.integers(0, 9)
)
@settings(max_examples=80, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_spearman_is_scipys_however_often_each_is_drawn(values, seed):
    one, other = np.array(values, np.float64).T
    counts = np.random.default_rng(seed).multinomial(len(values), np.ones(len(values)) / len(values))
    drawn = np.repeat(np.arange(len(values)), counts)
    given_rho = float(spearman(one, other)(counts[None].astype(np.float64))[0])
    expected = stats.spearmanr(one[drawn], other[drawn]).statistic
    assert given_rho == pytest.approx(0.0 if np.isnan(expected) else expected, abs=1e-9)


def test_pairs_with_scores_are_judged_by_their_order():
    rng = np.random.default_rng(1)
    vectors = vectors_for(200)
    cosines = (unit(vectors)[::2] * unit(vectors)[1::2]).sum(axis=1)
    scores = cosines + rng.normal(scale=0.2, size=100)
    measured = PairScorer(targets(range(200), scores), paired=True).result(vectors).metrics["spearman"]
    assert measured.value == pytest.approx(stats.spearmanr(cosines, scores).statistic)
    assert measured.low < measured.value < measured.high
    assert measured.n == 100


def test_the_interval_of_a_mean_holds_it_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    for _ in range(100):
        sample = rng.exponential(size=60)
        measured = resample(60, lambda counts, of=sample: counts @ of / counts.sum(axis=1))
        held += measured.low <= 1 <= measured.high
    assert held >= 88


@pytest.mark.parametrize("scores", [None, "some"])
def test_a_comparison_is_paired(scores):
    numbers = targets(range(80), None if scores is None else np.arange(40))
    scorer, before = PairScorer(numbers, paired=True), vectors_for(80)
    same = scorer.change(before, before * 3)
    assert same.difference.value == same.difference.low == same.difference.high == 0
    assert same.agreement.value == pytest.approx(1)
    changed = scorer.change(before, vectors_for(80, seed=5))
    assert changed.difference.value == pytest.approx(changed.candidate.value - changed.baseline.value)
    assert changed.difference.low < changed.difference.high
    assert list(changed.differences) == ["mrr" if scores is None else "spearman"]
    assert len(changed.rows) == 4
    assert EmbeddingChange.model_validate_json(changed.model_dump_json()) == changed


def test_of_texts_alone_it_is_how_alike_two_models_see_them():
    scorer, before = PairScorer(targets(range(30)), paired=False), vectors_for(30)
    assert scorer.result(before).metrics == {}
    changed = scorer.change(before, before + vectors_for(30, seed=1) * 0.1)
    assert changed.difference.value == pytest.approx(changed.agreement.value - 1)
    assert changed.difference.high < 0
    assert len(changed.rows) == 1


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.zeros((3, 4)), "one for each of 4 texts"),
        (np.zeros((0, 4)), "one for each of 4 texts"),
        (np.full((4, 2), np.nan), "expected finite numbers"),
    ],
)
def test_what_cannot_be_scored_is_told(vectors, said):
    with pytest.raises(DataError, match=said):
        PairScorer(targets(range(4)), paired=True).result(vectors)
