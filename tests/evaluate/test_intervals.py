from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from penjing.evaluate import intervals

COUNTS = st.integers(0, 400)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_wilson_is_scipys_and_holds_its_estimate(n: int, part: float) -> None:
    successes = round(n * part)
    low, high = intervals.wilson(successes, n)
    theirs = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= low <= successes / n <= high <= 1


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_newcombe_holds_its_estimate_and_mirrors(both: int, first: int, second: int, neither: int) -> None:
    n = both + first + second + neither
    if n == 0:
        return
    low, high = intervals.newcombe_paired(both, neither, only_first=first, only_second=second)
    assert -1 <= low <= (second - first) / n <= high <= 1
    assert (-high, -low) == pytest.approx(
        intervals.newcombe_paired(both, neither, only_first=second, only_second=first)
    )


@pytest.mark.parametrize(
    ("shares", "n"),
    [
        ((0.84, 0.01, 0.01, 0.14), 500),
        ((0.84, 0.005, 0.015, 0.14), 3000),
        ((0.60, 0.10, 0.05, 0.25), 200),
        ((0.30, 0.20, 0.25, 0.25), 1000),
    ],
)
def test_newcombe_covers(shares: tuple[float, ...], n: int) -> None:
    draws = np.random.default_rng(7).multinomial(n, shares, size=1500)
    truth = shares[2] - shares[1]
    bounds = np.array(
        [
            intervals.newcombe_paired(both, none, only_first=one, only_second=two)
            for both, one, two, none in draws.tolist()
        ]
    )
    coverage = np.mean((bounds[:, 0] <= truth) & (truth <= bounds[:, 1]))
    assert coverage >= 0.935


def test_newcombe_matches_another_implementation() -> None:
    # R package contingencytables, Newcombe_square_and_add_CI_paired_2x2 of the table 59, 6, 16, 80
    low, high = intervals.newcombe_paired(59, 80, only_first=16, only_second=6)
    assert (low, high) == pytest.approx((-0.1186, -0.0046), abs=5e-5)


@given(COUNTS, COUNTS)
def test_mcnemar_is_the_binomial_test(first: int, second: int) -> None:
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert intervals.mcnemar_p(first, second) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_stays_exact_on_many_changes() -> None:
    assert intervals.mcnemar_p(50_000, 50_700) == pytest.approx(stats.binomtest(50_000, 100_700).pvalue, rel=1e-6)


@pytest.mark.parametrize("n", [1, 5, 6, 40, 367, 368, 5000])
@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_quantile_ranks_cover_and_are_tight(n: int, q: float) -> None:
    low, high = intervals.quantile_ranks(n, q)
    below = stats.binom(n, q)
    assert below.cdf(low - 1) <= 0.025 < below.cdf(low)  # one rank more would break the lower side
    assert below.sf(high - 1) <= 0.025 if high <= n else below.sf(n - 1) > 0.025


def test_quantile_gives_no_bounds_it_cannot_keep() -> None:
    assert intervals.quantile(np.arange(5.0), 0.5).low is None
    six = intervals.quantile(np.arange(6.0), 0.5)
    assert (six.low, six.value, six.high) == (0.0, 2.5, 5.0)
    assert intervals.quantile(np.arange(367.0), 0.99).high is None
    assert intervals.quantile(np.arange(368.0), 0.99).high == 367.0


def test_mean_of_one_has_no_interval() -> None:
    assert intervals.mean(2.0, 4.0, 1).low is None
    two = intervals.mean(3.0, 5.0, 2)
    assert two.value == 1.5
    assert two.high is not None
    assert two.high > 1.5
