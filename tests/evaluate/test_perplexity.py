"""Perplexity: its definition, its interval by example, and what changed."""

import numpy as np
import pytest

from penjing.core.errors import DataError
from penjing.evaluate import PerplexityResult, perplexity_change, perplexity_of


def test_it_is_exp_of_the_mean_over_tokens_not_over_examples():
    result = perplexity_of([2.0, 30.0], [1, 9])
    assert result.metrics["perplexity"].value == pytest.approx(np.exp(3.2))
    assert result.metrics["log_likelihood"].value == pytest.approx(-3.2)
    assert (result.n, result.tokens) == (2, 10)
    assert result.headlines[0] == "log_likelihood"
    assert PerplexityResult.model_validate_json(result.model_dump_json()) == result


def test_examples_without_a_token_that_counts_are_none():
    assert perplexity_of([2.0, 0.0], [1, 0]).n == 1


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng, covered = np.random.default_rng(1), 0
    for _ in range(200):
        tokens = rng.integers(5, 50, 80)
        losses = tokens * rng.normal(2.0, 0.4, 80)  # tokens of one example are alike
        found = perplexity_of(losses, tokens).metrics["perplexity"]
        covered += found.low <= np.exp(2.0) <= found.high
    assert covered >= 180


def test_a_change_is_paired():
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 50, 60)
    before = tokens * rng.normal(2.0, 0.5, 60)
    change = perplexity_change(before, before + 0.02 * tokens, tokens)
    assert change.difference.value == pytest.approx(-0.02)
    assert change.difference.high - change.difference.low < 1e-9
    assert change.differences == {"log_likelihood": change.difference}
    assert (change.agreement.value, len(change.rows)) == (0, 4)


@pytest.mark.parametrize(("losses", "tokens"), [([], []), ([1.0], [0]), ([float("nan")], [3]), ([1.0, 2.0], [3])])
def test_what_cannot_be_scored_is_refused(losses, tokens):
    with pytest.raises(DataError):
        perplexity_of(losses, tokens)
