"""Exact match and F1 are the official ones; intervals hold them; a comparison is paired."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.core.errors import DataError
from penjing.evaluate import AnswerChange, AnswerComparison, AnswerResult, AnswerScore
from penjing.evaluate.answer_match import is_unspaced, match, normalised

# Expected values worked out by hand from SQuAD's evaluate-v2.0.py: normalize_answer, compute_exact,
# compute_f1, and the choice of gold answers in get_raw_scores.
ENGLISH = [
    ("Denver Broncos", ["Denver Broncos"], True, 1.0),
    ("the denver  BRONCOS.", ["Denver Broncos"], True, 1.0),  # articles, case, blanks and punctuation fall
    ("Broncos", ["Denver Broncos"], False, 2 / 3),
    ("Denver Broncos team", ["Denver Broncos"], False, 0.8),
    ("Carolina Panthers", ["Denver Broncos"], False, 0.0),
    ("Santa Clara", ["Santa Clara, California", "Levi's Stadium", "Santa Clara"], True, 1.0),  # the best counts
    ("the the cat", ["cat cat"], False, 2 / 3),  # words count as often as both have them
    ("U.S.", ["US"], True, 1.0),
    ("twenty-one", ["twentyone"], True, 1.0),  # a sign goes without leaving a blank
    ("an apple a day", ["apple day"], True, 1.0),
    ("theatre", ["atre"], False, 0.0),  # articles are words
    ("“gold”", ["gold"], False, 0.0),  # only ASCII signs are punctuation there
    ("", ["gold"], False, 0.0),
    ("the", ["gold"], False, 0.0),
    ("a", ["a", "the"], True, 1.0),  # no answer is left once normalised: the right one is none
    ("b", ["a"], False, 0.0),
    ("gold", ["a", "gold"], True, 1.0),  # one that is nothing once normalised is left out
    ("", [], True, 1.0),
    ("the", [], True, 1.0),
    ("gold", [], False, 0.0),
]
# By hand from CMRC 2018's cmrc2018_evaluate.py: remove_punctuation, mixed_segmentation(rm_punc=True), find_lcs.
CHINESE = [
    ("光荣和ω-force", ["光荣和ω-force"], True, 1.0),
    ("光荣和ωforce", ["光荣和ω-force"], True, 1.0),  # the sign - falls
    ("《战国无双3》", ["战国无双3"], True, 1.0),
    ("村雨城", ["任天堂游戏谜之村雨城"], False, 6 / 13),  # 3 of 3 and 10 characters
    ("光荣", ["光荣和ω-force", "光荣公司"], False, 2 / 3),
    ("1998", ["1998年"], False, 2 / 3),  # a number is one token
    ("年1998", ["1998年"], False, 0.5),  # the longest run, not the bag
    ("4分钟", ["4 分钟"], False, 1.0),  # blanks part tokens and are none
    ("北京", ["上海"], False, 0.0),
    ("", ["上海"], False, 0.0),
    ("ＡＢＣ公司", ["abc公司"], False, 2 / 3),  # full width is not folded: 2 of 3 and 3 tokens
    ("", [], True, 1.0),
    ("上海", [], False, 0.0),
]


@pytest.mark.parametrize(("answer", "right", "exact", "f1"), ENGLISH)
def test_squad(answer, right, exact, f1):
    assert match(answer, right, question="Which team won?") == (exact, pytest.approx(f1))


@pytest.mark.parametrize(("answer", "right", "exact", "f1"), CHINESE)
def test_cmrc(answer, right, exact, f1):
    assert match(answer, right, question="《战国无双3》是由哪两个公司合作开发的？") == (exact, pytest.approx(f1))


def test_the_script_of_the_question_decides():
    assert all(map(is_unspaced, ("谁？", "NBA总冠军是谁？", "東京タワーは")))
    assert not any(map(is_unspaced, ("What is 中国?", "1998?", "", "Кто?")))
    assert normalised("The  U.S. army's") == "us armys"


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=3), st.sampled_from(["Who?", "谁？"]))
def test_laws_of_any_match(answer, right, question):
    met = match(answer, right, question=question)
    assert 0 <= met.f1 <= 1
    if answer in right and normalised(answer):
        assert met.exact
    if met.exact and question == "Who?":
        assert met.f1 == 1


def scored(*rows):
    score = AnswerScore()
    for answer, right, sure in rows:
        score.add(answer, right, question="Who?", score=sure)
    return score.result()


def test_the_figures_apart_by_whether_there_is_an_answer():
    result = scored(
        ("fox", ["fox"], 0.9), ("fox", ["the red fox"], 0.5), ("dog", ["fox"], 0.5), ("", ["fox"], 0.5),
        ("", [], 0.9), ("dog", [], 0.5),
    )  # fmt: skip
    values = {name: measured.value for name, measured in result.metrics.items()}
    assert values["f1"] == pytest.approx((1 + 2 / 3 + 1) / 6, abs=1e-6)
    assert values["exact_match"] == pytest.approx(2 / 6)
    assert values["has_answer_f1"] == pytest.approx((1 + 2 / 3) / 4, abs=1e-6)
    assert values["has_answer_exact_match"] == pytest.approx(1 / 4)
    assert values["no_answer_accuracy"] == pytest.approx(1 / 2)
    assert values["expected_calibration_error"] > 0
    assert all(one.low <= one.value <= one.high for one in result.metrics.values())
    assert (result.n, result.answerable) == (6, 4)
    assert result.outcomes == {"exact": 1, "overlap": 1, "wrong": 1, "missed": 1, "invented": 1, "rightly none": 1}
    assert AnswerResult.model_validate_json(result.model_dump_json()) == result


def test_where_every_question_has_an_answer_there_are_fewer_figures():
    result = scored(("fox", ["fox"], 0.9))
    assert set(result.metrics) == {"f1", "exact_match", "expected_calibration_error"}
    assert result.headlines == ("f1", "exact_match")
    assert set(result.outcomes) == {"exact", "overlap", "wrong"}


def test_memory_does_not_grow_with_questions():
    score = AnswerScore()
    for _ in range(3000):
        score.add("fox", ["the red fox"], question="Who?", score=0.5)
    assert len(score._f1) == 1


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        score = AnswerScore()
        for hit in rng.random(150) < 0.8:
            score.add("red fox" if hit else "dog", ["red fox hound cat"], question="Who?", score=0.5)
        measured = score.result().metrics["f1"]
        covered += measured.low <= 0.8 * 2 / 3 <= measured.high
    assert covered >= 51


def test_a_comparison_is_paired_by_question():
    comparison = AnswerComparison()
    for number in range(40):
        worse = "red" if number < 4 else "red fox"
        comparison.add("red fox", worse, ["red fox"], question="Who?", same=worse == "red fox")
    comparison.add("", "dog", [], question="Who?", same=False)
    change = comparison.result()
    assert change.baseline_f1.value == 1
    assert change.differences["f1"].value == pytest.approx(-(4 / 3 + 1) / 41, abs=1e-6)
    assert change.f1_difference.high <= 0
    assert change.exact_match_difference.value == pytest.approx(-5 / 41)
    assert change.agreement.value == pytest.approx(36 / 41)
    assert [(one.label, one.support, one.changed, one.lost) for one in change.per_class] == [
        ("has none", 1, 1, 1),
        ("has an answer", 40, 4, 4),
    ]
    assert AnswerChange.model_validate_json(change.model_dump_json()) == change


def test_what_cannot_be_scored_is_told():
    with pytest.raises(DataError, match="no questions to score"):
        AnswerScore().result()
    with pytest.raises(DataError, match="no questions to compare"):
        AnswerComparison().result()
