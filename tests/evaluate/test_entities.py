"""Entity scores are seqeval's; intervals hold them; a comparison is paired."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score

from penjing.core.errors import DataError
from penjing.evaluate import EntityChange, EntityComparison, EntityResult, EntityScore
from penjing.evaluate.entities import mistakes
from penjing.tokens.tagging import entities_of, tags_of

LABELS = ("LOC", "PER")
TAGS = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), min_size=1, max_size=9)
PAIRS = st.lists(TAGS.flatmap(lambda true: st.tuples(st.just(true), st.permutations(true))), min_size=1, max_size=8)


def scored(pairs):
    score = EntityScore(LABELS)
    for true, found in pairs:
        score.add(entities_of(found), entities_of(true))
    return score.result()


@pytest.mark.filterwarnings("ignore")
@given(PAIRS)
@settings(max_examples=80, deadline=None)
def test_the_figures_are_those_of_seqeval(pairs):
    result = scored(pairs)
    true, found = [list(one) for one, _ in pairs], [list(other) for _, other in pairs]
    for name, reference in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        measured = result.metrics[name]
        assert measured.value == pytest.approx(float(reference(true, found, zero_division=0)))
        assert measured.low <= measured.value <= measured.high
    met = [one.label for one in result.per_class if one.support or one.predicted]
    if met:
        assert result.metrics["macro_f1"].value == pytest.approx(
            np.mean([one.f1 for one in result.per_class if one.f1 is not None])
        )
    assert EntityResult.model_validate_json(result.model_dump_json()) == result


def test_sentences_that_are_all_right_count():
    result = scored([(["B-PER"], ["B-PER"]), (["O", "O"], ["O", "O"]), (["B-PER"], ["O"])])
    assert result.metrics["sentence_accuracy"].value == pytest.approx(2 / 3)
    assert (result.n, result.entities) == (3, 2)


def test_mistakes_are_counted_once_each():
    true = {(0, 2, "PER"), (3, 4, "LOC"), (5, 7, "LOC"), (9, 10, "PER")}
    found = {(0, 2, "LOC"), (5, 6, "LOC"), (12, 13, "PER")}
    assert mistakes(found, true) == {"wrong label": 1, "wrong boundary": 1, "missed": 2, "invented": 1}


def test_memory_does_not_grow_with_sentences():
    score = EntityScore(LABELS)
    for _ in range(3000):
        score.add([(0, 1, "PER")], [(0, 1, "PER")])
    assert len(score._outcomes) == 1


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        score = EntityScore(("PER",))
        for hit in rng.random(150) < 0.8:
            score.add([(0, 1, "PER")] if hit else [(1, 2, "PER")], [(0, 1, "PER")])
        measured = score.result().metrics["f1"]
        covered += measured.low <= 0.8 <= measured.high
    assert covered >= 51


def test_a_comparison_is_paired_by_sentence():
    comparison = EntityComparison(LABELS)
    true = [(0, 1, "PER"), (2, 3, "LOC")]
    for number in range(40):
        worse = [(0, 1, "PER")] if number < 4 else true
        comparison.add(true, worse, true=true)
    change = comparison.result()
    assert change.baseline_f1.value == 1
    assert change.differences["f1"].value == pytest.approx(2 * 76 / (80 + 76) - 1)
    assert change.f1_difference.high <= 0
    assert change.agreement.value == pytest.approx(0.9)
    assert [(one.label, one.support, one.changed, one.lost) for one in change.per_class] == [
        ("LOC", 40, 4, 4),
        ("PER", 40, 0, 0),
    ]
    assert EntityChange.model_validate_json(change.model_dump_json()) == change


def test_what_cannot_be_scored_is_told():
    with pytest.raises(DataError, match="no sentences"):
        EntityScore(LABELS).result()
    with pytest.raises(DataError, match="an entity with the label 'ORG'"):
        EntityScore(LABELS).add([(0, 1, "ORG")], [])
    assert tags_of([(0, 1, "PER")], 1) == ["B-PER"]
