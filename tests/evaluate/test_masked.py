"""Scores at masks: what they are by hand, and intervals that resample texts."""

import numpy as np
import pytest

from penjing.core.errors import DataError
from penjing.evaluate import MaskedResult, MaskedScorer

RIGHT = np.array([1, 2, 3, 4, 5, 6])
TEXT = np.array([0, 0, 0, 1, 1, 2])
LOSSES = np.array([0.5, 1.0, 1.5, 3.0, 0.0, 0.0])


def test_by_hand():
    scorer = MaskedScorer(RIGHT, TEXT)
    result = scorer.result(np.array([1, 2, 9, 4, 9, 9]), LOSSES)
    assert (result.n, result.tokens) == (3, 6)
    assert result.metrics["masked_accuracy"].value == 0.5
    assert result.metrics["perplexity"].value == pytest.approx(np.e)
    assert result.metrics["perplexity"].low < np.e < result.metrics["perplexity"].high
    assert MaskedResult.model_validate_json(result.model_dump_json()) == result


def test_a_change_is_paired():
    scorer = MaskedScorer(RIGHT, TEXT)
    same = scorer.change((RIGHT, LOSSES), (RIGHT, LOSSES))
    assert (same.difference.value, same.difference.low, same.agreement.value) == (0, 0, 1)
    worse = scorer.change((RIGHT, LOSSES), (np.array([1, 2, 3, 9, 9, 6]), LOSSES + 1))
    assert worse.difference.value == pytest.approx(-1 / 3)
    assert worse.agreement.value == pytest.approx(2 / 3)
    assert worse.candidate_perplexity.value == pytest.approx(np.e**2)


def test_the_interval_knows_that_the_masks_of_a_text_hang_together():
    rng = np.random.default_rng(0)
    level = np.repeat(rng.normal(2, 1, 40), 25)
    right, apart, together = np.arange(1000), np.arange(1000), np.repeat(np.arange(40), 25)
    widths = []
    for text in (apart, together):
        found = MaskedScorer(right, text).result(right, level).metrics["perplexity"]
        widths.append(found.high - found.low)
    assert widths[1] > 3 * widths[0]


def test_what_cannot_be_scored_is_told():
    with pytest.raises(DataError, match="no masks"):
        MaskedScorer(RIGHT[:0], TEXT[:0])
    with pytest.raises(DataError, match="5 guesses at 6 masks"):
        MaskedScorer(RIGHT, TEXT).result(RIGHT[:5], LOSSES)
    with pytest.raises(DataError, match="NaN"):
        MaskedScorer(RIGHT, TEXT).result(RIGHT, LOSSES * np.nan)
