from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from penjing.core.errors import DataError
from penjing.evaluate import ClassificationResult, ClassificationScore
from penjing.evaluate.calibration import BINS, CalibrationBins
from penjing.evaluate.confusion import macro_f1


def names(classes: int) -> list[str]:
    return [f"class {index}" for index in range(classes)]


def scored(logits: np.ndarray, targets: np.ndarray) -> ClassificationResult:
    score = ClassificationScore(names(logits.shape[1]))
    score.add(logits, targets)
    return score.result()


@pytest.mark.parametrize(("classes", "n"), [(2, 50), (3, 400), (20, 700), (40, 90)])
def test_agrees_with_scikit_learn(answers, classes: int, n: int) -> None:
    logits, targets = answers(classes, n)
    result = scored(logits, targets)
    guess = logits.argmax(axis=1)
    chances = np.exp(logits.astype(np.float64))
    chances /= chances.sum(axis=1, keepdims=True)
    everything = list(range(classes))
    assert result.metrics["accuracy"].value == pytest.approx(sk.accuracy_score(targets, guess))
    assert result.metrics["macro_f1"].value == pytest.approx(sk.f1_score(targets, guess, average="macro"))
    assert result.metrics["nll"].value == pytest.approx(sk.log_loss(targets, chances, labels=everything))
    brier = sk.brier_score_loss(targets, chances, labels=everything, scale_by_half=False)
    assert result.metrics["brier"].value == pytest.approx(brier)
    assert np.array_equal(result.confusion, sk.confusion_matrix(targets, guess, labels=everything))
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        targets, guess, labels=everything, zero_division=0
    )
    assert [c.precision or 0 for c in result.per_class] == pytest.approx(list(precision))
    assert [c.recall or 0 for c in result.per_class] == pytest.approx(list(recall))
    assert [c.f1 or 0 for c in result.per_class] == pytest.approx(list(f1))
    assert [c.support for c in result.per_class] == list(support)


def test_calibration_error_is_the_textbook_sum(answers) -> None:
    logits, targets = answers(4, 600)
    result = scored(logits, targets)
    chances = np.exp(logits.astype(np.float64))
    chances /= chances.sum(axis=1, keepdims=True)
    confidence, correct = chances.max(axis=1), chances.argmax(axis=1) == targets
    expected = 0.0
    for index in range(BINS):
        inside = (confidence >= index / BINS) & (confidence < (index + 1) / BINS)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    assert result.metrics["expected_calibration_error"].value == pytest.approx(expected)
    assert sum(bin_.count for bin_ in result.reliability) == 600


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 120), max_size=8), st.integers(2, 6))
def test_any_chunking_gives_the_same_result(answers, cuts: list[int], classes: int) -> None:
    logits, targets = answers(classes, 120)
    whole = scored(logits, targets)
    score = ClassificationScore(names(classes))
    edges = [0, *sorted(cuts), 120]
    for start, end in pairwise(edges):
        score.add(logits[start:end], targets[start:end])
    parts = score.result()
    assert parts.confusion == whole.confusion
    for name, measured in whole.metrics.items():
        other = parts.metrics[name]
        assert (other.value, other.low, other.high) == pytest.approx((measured.value, measured.low, measured.high))


def test_memory_stays_flat(answers) -> None:
    logits, targets = answers(50, 256)
    score = ClassificationScore(names(50))
    score.add(logits, targets)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(200):
            score.add(logits, targets)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 16_000
    assert peak - before < 12 * logits.nbytes  # one chunk's working space; all chunks would be 200


def test_reloads_from_its_own_json(answers) -> None:
    result = scored(*answers(5, 60))
    assert ClassificationResult.model_validate_json(result.model_dump_json()) == result


def test_same_seed_same_result(answers) -> None:
    logits, targets = answers(5, 60)
    assert scored(logits, targets) == scored(logits, targets)


def test_empty_is_refused() -> None:
    score = ClassificationScore(names(3))
    score.add(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
    score.add(np.zeros((0, 3), np.float32), [])
    with pytest.raises(DataError, match="no examples"):
        score.result()


@pytest.mark.parametrize(
    ("logits", "targets", "says"),
    [
        (np.zeros((4, 2), np.float32), [0, 0, 0, 0], r"shape \(4, 2\).*\(n, 3\)"),
        (np.zeros(3, np.float32), [0], r"shape \(3,\)"),
        ([[0.0, 1.0, 2.0], [1.0]], [0, 0], "differing lengths"),
        (np.array([["a", "b", "c"]]), [0], "expected numbers"),
        (np.zeros((4, 3), np.float32), [0, 1], r"targets of shape \(2,\).*\(4,\)"),
        (np.zeros((2, 3), np.float32), [0.0, 1.0], "expected integers"),
        (np.zeros((2, 3), np.float32), [0, 3], r"1 of 2 targets name no class \(the first is 3\)"),
        (np.zeros((2, 3), np.float32), [-100, 1], "the first is -100"),
        (np.array([[0, 1, 2], [0, np.nan, 0], [np.inf, 0, 0]]), [0, 0, 0], "2 of 3 rows .* first is row 1.*diverged"),
        (np.array([[0, 1e300, 2]]), [0], "1 of 1 rows"),
    ],
)
def test_bad_input_is_named_and_leaves_no_trace(logits: object, targets: object, says: str) -> None:
    score = ClassificationScore(names(3))
    with pytest.raises(DataError, match=f"(?s){says}"):
        score.add(logits, targets)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no examples"):
        score.result()


@pytest.mark.parametrize("labels", [[], ["only"], ["a", "b", "a"]])
def test_labels_must_tell_classes_apart(labels: list[str]) -> None:
    with pytest.raises(DataError):
        ClassificationScore(labels)


def test_ties_count_for_the_first_class_and_are_told() -> None:
    result = scored(np.zeros((6, 3), np.float32), np.array([0, 0, 1, 1, 2, 2]))
    assert result.ties == 6
    assert result.metrics["accuracy"].value == pytest.approx(1 / 3)
    assert [c.predicted for c in result.per_class] == [6, 0, 0]
    assert [c.precision for c in result.per_class] == [pytest.approx(1 / 3), None, None]


def test_a_class_that_never_occurs_is_left_out_of_the_mean() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]] * 5
    result = scored(logits, np.array([0, 0, 1, 0]))
    absent = result.per_class[2]
    assert (absent.support, absent.predicted, absent.f1) == (0, 0, None)
    assert result.metrics["macro_f1"].value == pytest.approx((0.8 + 2 / 3) / 2)


def test_one_example_and_a_perfect_model() -> None:
    one = scored(np.array([[9.0, 0.0]], np.float32), np.array([0]))
    assert one.metrics["macro_f1"].low == one.metrics["accuracy"].low
    assert one.metrics["nll"].low is None
    perfect = scored(np.eye(4, dtype=np.float32).repeat(50, axis=0) * 30, np.arange(4).repeat(50))
    accuracy = perfect.metrics["accuracy"]
    assert (accuracy.value, accuracy.high) == (1.0, 1.0)
    assert accuracy.low == pytest.approx(0.981, abs=0.001)
    assert perfect.confused == ()
    assert perfect.metrics["macro_f1"].low == accuracy.low  # no spread seen is no proof of none
    error = perfect.metrics["expected_calibration_error"]
    assert error.high is not None
    assert error.high > 0.015


def test_extreme_logits_do_not_overflow() -> None:
    result = scored(np.array([[3e38, -3e38], [-3e38, 3e38]], np.float32), np.array([0, 1]))
    assert result.metrics["nll"].value == 0.0


def test_confused_pairs_are_ordered() -> None:
    targets = np.array([0] * 5 + [1] * 5 + [2] * 2)
    guess = np.array([1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 2])
    result = scored(np.eye(3, dtype=np.float32)[guess], targets)
    assert [(p.target, p.prediction, p.count) for p in result.confused] == [
        ("class 0", "class 1", 3),
        ("class 1", "class 0", 1),
        ("class 2", "class 0", 1),
    ]
    assert result.confused[0].share == pytest.approx(0.6)


@pytest.mark.parametrize(("classes", "accuracy", "n"), [(2, 0.9, 300), (5, 0.85, 300), (10, 0.75, 300)])
def test_macro_f1_interval_covers(classes: int, accuracy: float, n: int) -> None:
    random = np.random.default_rng(3)
    prior = np.linspace(1, 4, classes)
    world = np.full((classes, classes), (1 - accuracy) / (classes - 1))
    np.fill_diagonal(world, accuracy)
    world *= (prior / prior.sum())[:, None]
    truth = np.mean(2 * np.diag(world) / (world.sum(axis=0) + world.sum(axis=1)))
    hits = 0
    for _ in range(80):
        measured = macro_f1(random.multinomial(n, world.ravel()).reshape(classes, classes))
        assert measured.low is not None
        assert measured.high is not None
        hits += measured.low <= truth <= measured.high
    assert hits >= 70  # of 80; 76 expected


@pytest.mark.parametrize("overconfidence", [0.0, 0.02, 0.08])
def test_calibration_interval_covers_even_a_calibrated_model(overconfidence: float) -> None:
    random = np.random.default_rng(4)

    def world(n: int) -> tuple[np.ndarray, np.ndarray]:
        confidence = random.beta(7, 1.1, n)
        return confidence, random.random(n) < np.clip(confidence - overconfidence, 0, 1)

    def measured(n: int) -> CalibrationBins:
        bins = CalibrationBins()
        bins.add(*world(n))
        return bins

    truth = measured(1_000_000).expected_error().value
    hits = 0
    for _ in range(150):
        error = measured(1500).expected_error()
        assert error.low is not None
        assert error.high is not None
        hits += error.low <= truth <= error.high
    assert hits >= 135
