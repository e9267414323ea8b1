from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from penjing.core.errors import DataError
from penjing.evaluate import PairedComparison, PairedResult

LABELS = ("red", "green", "blue")


def compared(baseline: np.ndarray, candidate: np.ndarray, targets: np.ndarray) -> PairedResult:
    comparison = PairedComparison(LABELS)
    comparison.add(baseline, candidate, targets=targets)
    return comparison.result()


@pytest.fixture(scope="module")
def models(answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of a baseline and a candidate, and the targets, of 300 examples."""
    logits, targets = answers(3, 300)
    return logits, logits + np.random.default_rng(5).normal(0, 1, logits.shape).astype(np.float32), targets


def test_counts_by_hand(models) -> None:
    baseline, candidate, targets = models
    result = compared(baseline, candidate, targets)
    before, after = baseline.argmax(axis=1), candidate.argmax(axis=1)
    lost, gained = (before == targets) & (after != targets), (before != targets) & (after == targets)
    assert (result.only_baseline_right, result.only_candidate_right) == (lost.sum(), gained.sum())
    assert result.both_right + result.both_wrong + lost.sum() + gained.sum() == result.n == 300
    assert result.agreement.value == pytest.approx(np.mean(before == after))
    assert result.accuracy_difference.value == pytest.approx(np.mean(after == targets) - np.mean(before == targets))
    assert result.accuracy_difference == result.differences["accuracy"]
    assert result.mcnemar_p == pytest.approx(stats.binomtest(int(lost.sum()), int((lost | gained).sum())).pvalue)
    assert result.max_logit_difference == pytest.approx(float(np.abs(candidate - baseline).max()), rel=1e-6)
    for index, change in enumerate(result.per_class):
        mine = targets == index
        assert change.label == LABELS[index]
        assert change.support == mine.sum()
        assert change.changed == (mine & (before != after)).sum()
        assert (change.lost, change.gained) == ((mine & lost).sum(), (mine & gained).sum())


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 300), max_size=6))
def test_any_chunking_gives_the_same_result(models, cuts: list[int]) -> None:
    baseline, candidate, targets = models
    comparison = PairedComparison(LABELS)
    edges = [0, *sorted(cuts), 300]
    for start, end in pairwise(edges):
        comparison.add(baseline[start:end], candidate[start:end], targets=targets[start:end])
    assert comparison.result() == compared(baseline, candidate, targets)


def test_a_model_against_itself(models) -> None:
    logits, _, targets = models
    result = compared(logits, logits, targets)
    difference = result.accuracy_difference
    assert (difference.value, result.mcnemar_p, result.agreement.value) == (0.0, 1.0, 1.0)
    assert result.max_logit_difference == 0.0
    assert difference.low is not None
    assert -0.02 < difference.low < 0  # 300 examples without a change do not prove that there is none


def test_predictions_alone_will_do(models) -> None:
    baseline, candidate, targets = models
    comparison = PairedComparison(LABELS)
    comparison.add_predictions(baseline.argmax(axis=1), candidate.argmax(axis=1), targets=targets)
    whole = compared(baseline, candidate, targets)
    assert comparison.result() == whole.model_copy(update={"max_logit_difference": None})


def test_reloads_from_its_own_json(models) -> None:
    result = compared(*models)
    assert PairedResult.model_validate_json(result.model_dump_json()) == result


def test_memory_stays_flat(models) -> None:
    baseline, candidate, targets = models
    comparison = PairedComparison(LABELS)
    comparison.add(baseline, candidate, targets=targets)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(200):
            comparison.add(baseline, candidate, targets=targets)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 16_000
    assert peak - before < 20 * baseline.nbytes


@pytest.mark.parametrize(
    ("baseline", "candidate", "targets", "says"),
    [
        (np.zeros((2, 3)), np.zeros((3, 3)), [0, 0], "2 rows of baseline logits and 3 of candidate"),
        (np.zeros((2, 3)), np.zeros((2, 4)), [0, 0], "candidate logits of shape"),
        (np.zeros((2, 3)), np.full((2, 3), np.nan), [0, 0], "2 of 2 rows of candidate logits"),
        (np.zeros((2, 3)), np.zeros((2, 3)), [0, 0, 0], "baseline predictions of shape"),
        (np.zeros((2, 3)), np.zeros((2, 3)), 0, "targets of shape"),
        (np.zeros((2, 3)), np.zeros((2, 3)), [0, 7], "the first is 7"),
    ],
)
def test_bad_input_is_named_and_leaves_no_trace(
    baseline: np.ndarray, candidate: np.ndarray, targets: object, says: str
) -> None:
    comparison = PairedComparison(LABELS)
    with pytest.raises(DataError, match=says):
        comparison.add(baseline, candidate, targets=targets)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no examples"):
        comparison.result()
