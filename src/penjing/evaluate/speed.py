"""Speed as measurements: latency quantiles, throughput over rounds, ratios of systems.

A machine's speed drifts while one measures (heat, neighbours, caches). So systems are measured in
turns, round after round, and compared within rounds: drift that spans a round cancels in its ratio.

Promises: medians and quantiles, so that one stall does not decide; intervals that assume no
distribution. Trades: an interval of the median needs six rounds, one of the 99th percentile 368
requests; below that none is given. Requests that follow each other are not quite independent, which
makes the latency intervals somewhat narrow: run several rounds rather than one long one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from penjing.core.errors import DataError
from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate import intervals

Floats = npt.NDArray[np.float64]

LATENCY_QUANTILES = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}


class Round(Frozen):
    """One turn of one system: what it got through in how long."""

    requests: int = Field(ge=1)
    tokens: int = Field(ge=0)
    seconds: float = Field(gt=0, allow_inf_nan=False)


def summarise_latencies(latencies_ms: npt.ArrayLike) -> dict[str, Measurement]:
    """``p50_ms``, ``p95_ms`` and ``p99_ms`` with order-statistic intervals.

    Args:
        latencies_ms: float (n,), one for each request, in milliseconds, in any order.

    Raises:
        DataError: empty, negative or not finite.
    """
    sample = _checked(latencies_ms, "latencies in ms")
    return {name: intervals.quantile(sample, q, unit="ms") for name, q in LATENCY_QUANTILES.items()}


def summarise_rounds(rounds: Sequence[Round]) -> dict[str, Measurement]:
    """``requests_per_s`` and ``tokens_per_s``: medians over rounds; ``n`` is the number of rounds.

    Raises:
        DataError: no rounds.
    """
    if not rounds:
        raise DataError("no rounds", expected="at least one, better six or more")
    requests = np.array([turn.requests / turn.seconds for turn in rounds])
    tokens = np.array([turn.tokens / turn.seconds for turn in rounds])
    return {
        "requests_per_s": intervals.quantile(requests, 0.5, unit="requests/s"),
        "tokens_per_s": intervals.quantile(tokens, 0.5, unit="tokens/s"),
    }


def ratio_over_rounds(candidate: npt.ArrayLike, baseline: npt.ArrayLike) -> Measurement:
    """The median over rounds of candidate / baseline, with its sign-test interval.

    Args:
        candidate: float (rounds,), a figure of one system, such as its requests/s.
        baseline: float (rounds,), the same of the other; entry i of both comes from round i.

    Raises:
        DataError: lengths differ, or values are not finite and positive.
    """
    ours, theirs = _checked(candidate, "candidate rounds"), _checked(baseline, "baseline rounds")
    if len(ours) != len(theirs):
        raise DataError(f"{len(ours)} candidate and {len(theirs)} baseline rounds", expected="one of each in a round")
    if not (theirs > 0).all():
        raise DataError("a baseline round of zero", expected="positive figures")
    return intervals.quantile(ours / theirs, 0.5)


def _checked(values: npt.ArrayLike, name: str) -> Floats:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not len(sample):
        raise DataError(f"{name} of shape {sample.shape}", expected="a list of at least one number")
    if not (np.isfinite(sample) & (sample >= 0)).all():
        raise DataError(f"{name} with negative or non-finite values", expected="finite numbers from 0 up")
    return sample
