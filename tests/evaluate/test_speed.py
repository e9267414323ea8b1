from __future__ import annotations

import numpy as np
import pytest

from penjing.core.errors import DataError
from penjing.evaluate import Round, ratio_over_rounds, summarise_latencies, summarise_rounds


def test_latency_quantiles_with_their_unit() -> None:
    summary = summarise_latencies(np.arange(1.0, 1001.0))
    assert list(summary) == ["p50_ms", "p95_ms", "p99_ms"]
    assert summary["p50_ms"].value == pytest.approx(500.5)
    assert summary["p99_ms"].value == pytest.approx(990.01)
    assert {m.unit for m in summary.values()} == {"ms"}
    assert {m.n for m in summary.values()} == {1000}
    low, high = summary["p95_ms"].low, summary["p95_ms"].high
    assert low is not None
    assert high is not None
    assert 930 < low < 950 < high < 970


def test_latency_intervals_cover_a_long_tail() -> None:
    random = np.random.default_rng(0)
    truth = np.exp(1.6448536269514722)  # the 95th percentile of a log-normal
    hits = 0
    for _ in range(400):
        measured = summarise_latencies(random.lognormal(size=500))["p95_ms"]
        assert measured.low is not None
        assert measured.high is not None
        hits += measured.low <= truth <= measured.high
    assert hits >= 372


def test_throughput_is_the_median_over_rounds() -> None:
    rounds = [Round(requests=100, tokens=1000 * i, seconds=2.0) for i in range(1, 8)]
    summary = summarise_rounds(rounds)
    assert summary["tokens_per_s"].value == 2000
    assert (summary["tokens_per_s"].low, summary["tokens_per_s"].high) == (500, 3500)
    assert summary["requests_per_s"].unit == "requests/s"
    assert summary["requests_per_s"].low == summary["requests_per_s"].high == 50


def test_five_rounds_give_no_interval() -> None:
    assert summarise_rounds([Round(requests=1, tokens=1, seconds=1.0)] * 5)["tokens_per_s"].low is None


def test_drift_cancels_in_the_ratio() -> None:
    drift = np.array([1.0, 0.9, 0.8, 0.5, 0.7, 1.1, 1.2, 0.6])
    ratio = ratio_over_rounds(300 * drift, 100 * drift)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((3, 3, 3))


@pytest.mark.parametrize("latencies", [[], [[1.0]], [1.0, -1.0], [np.nan]])
def test_bad_latencies_are_refused(latencies: list[float]) -> None:
    with pytest.raises(DataError, match="latencies"):
        summarise_latencies(latencies)


def test_bad_rounds_are_refused() -> None:
    with pytest.raises(DataError, match="no rounds"):
        summarise_rounds([])
    with pytest.raises(DataError, match="2 candidate and 1 baseline"):
        ratio_over_rounds([1.0, 2.0], [1.0])
    with pytest.raises(DataError, match="zero"):
        ratio_over_rounds([1.0], [0.0])
