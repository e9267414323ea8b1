"""BLEU and chrF are sacreBLEU's, and intervals and comparisons make sense."""

import random

import pytest
import sacrebleu

from penjing.core.errors import DataError
from penjing.evaluate import TranslationChange, TranslationResult, TranslationScorer

RIGHT = ["The cat sat on the mat.", "It rained the whole day, and we stayed at home.", "He didn't say a word.", "Yes!"]
GIVEN = ["The cat sat on a mat.", "It was raining all day and we stayed home.", "He said no word.", "Yes!"]
CHINESE = ["猫坐在垫子上。", "整天都在下雨,我们待在家里。"]
WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "while", "it", "rained", "yesterday"]


def test_the_figures_are_sacrebleus():
    result = TranslationScorer(RIGHT).result(GIVEN)
    assert 100 * result.metrics["bleu"].value == pytest.approx(sacrebleu.corpus_bleu(GIVEN, [RIGHT]).score)
    assert 100 * result.metrics["chrf"].value == pytest.approx(sacrebleu.corpus_chrf(GIVEN, [RIGHT]).score)
    assert "tok:13a" in result.signature
    assert result.metrics["same"].value == 0.25
    assert TranslationResult.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize("seed", range(20))
def test_the_figures_are_sacrebleus_whatever_is_translated(seed):
    rng = random.Random(seed)

    def some(count):
        return [" ".join(rng.choices(WORDS, k=rng.randrange(0 if seed % 2 else 1, 9))) for _ in range(count)]

    count = rng.choice([1, 2, 7])
    right = [text or "the" for text in some(count)]
    given = some(count)
    result = TranslationScorer(right).result(given)
    assert 100 * result.metrics["bleu"].value == pytest.approx(sacrebleu.corpus_bleu(given, [right]).score, abs=1e-9)
    assert 100 * result.metrics["chrf"].value == pytest.approx(sacrebleu.corpus_chrf(given, [right]).score, abs=1e-9)


def test_chinese_is_counted_letter_by_letter():
    result = TranslationScorer(CHINESE).result(["猫坐在椅子上。", CHINESE[1]])
    assert "tok:zh" in result.signature
    expected = sacrebleu.corpus_bleu(["猫坐在椅子上。", CHINESE[1]], [CHINESE], tokenize="zh").score
    assert 100 * result.metrics["bleu"].value == pytest.approx(expected)


def test_a_comparison_is_paired():
    scorer = TranslationScorer(RIGHT * 20)
    worse = [*GIVEN[:1], *(text.lower().replace("w", "v") for text in GIVEN[1:])] * 20
    change = scorer.change(GIVEN * 20, worse)
    assert change.difference.value == pytest.approx(change.candidate.value - change.baseline.value)
    assert change.difference.high < 0
    assert change.differences == {"bleu": change.difference}
    same = scorer.change(GIVEN * 20, GIVEN * 20)
    assert (same.difference.low, same.difference.high, same.agreement.value) == (0, 0, 1)
    assert TranslationChange.model_validate_json(change.model_dump_json()) == change


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(DataError, match="no translations"):
        TranslationScorer([])
    with pytest.raises(DataError, match="2 translations"):
        TranslationScorer(RIGHT).result(GIVEN[:2])
