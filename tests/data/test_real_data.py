"""The figures of real data sets, as their authors state them."""

from __future__ import annotations

import pytest

from penjing.core.errors import DataError
from penjing.core.nouns import Task
from penjing.data import DataRecipe, load_split, load_splits, load_text_splits
from realdata import need_set

pytestmark = pytest.mark.data


def test_sst2_has_no_header_line():
    folder = need_set("sst2")
    recipe = DataRecipe(
        train=str(folder / "train.tsv"),
        validation=str(folder / "dev.tsv"),
        test=str(folder / "test.tsv"),
        columns=("text", "label"),
        on_leak="report",
    )
    data = load_text_splits(recipe)
    assert (data.train.rows, data.validation.rows, data.test.rows) == (6920, 872, 1821)
    assert data.labels == ("0", "1")


def test_banking77():
    folder = need_set("banking77")
    data = load_text_splits(DataRecipe(train=str(folder / "train.csv"), test=str(folder / "test.csv")))
    (leak,) = data.report.leaks
    assert (data.train.rows + leak.rows, data.test.rows, len(data.labels)) == (10_003, 3_080, 77)
    assert leak.rows == 7
    assert any("\n" in example.text for example in data.train.examples)


def test_chnsenticorp_is_chinese_and_has_one_empty_review():
    path = need_set("chnsenticorp-htl-waimai") / "ChnSentiCorp_htl_all.csv"
    data = load_text_splits(DataRecipe(train=str(path), validation_fraction=0.1))
    assert data.train.rows + data.validation.rows + data.test.rows == 7765
    assert data.report.splits[0].blank_dropped == 1
    assert data.report.leaks == ()
    assert "酒店" in "".join(example.text for example in data.test.examples)


def test_cmrc_has_answers_that_stand_nowhere():
    path = need_set("cmrc2018") / "cmrc2018_dev.json"
    with pytest.raises(DataError, match=r"cmrc2018_dev\.json\[DEV_6_QUERY_2\]: the answer .* is said to begin at -1"):
        load_split(str(path), (), task=Task.QUESTION_ANSWERING)
    recipe = DataRecipe(train=str(path), on_misaligned="widen")
    split = load_split(str(path), (), task=Task.QUESTION_ANSWERING, recipe=recipe)
    assert (split.rows, len({one.context for one in split.examples})) == (3219, 848)
    assert {len(one.answers) for one in split.examples} == {3}
    # Of the 200 answers that are not where they are said to be 7 are found elsewhere; each question has one that is.
    assert sum(start is None for one in split.examples for _, start in one.answers) == 193
    assert all(any(start is not None for _, start in one.answers) for one in split.examples)
    placed = [(one, answer) for one in split.examples for answer in one.answers if answer[1] is not None]
    assert all(one.context.startswith(text, start) for one, (text, start) in placed)


def test_cmrc_trial_has_answers_one_place_off_and_two_blank_questions():
    path = need_set("cmrc2018") / "cmrc2018_trial.json"
    recipe = DataRecipe(train=str(path), on_misaligned="widen")
    data = load_splits(recipe, Task.QUESTION_ANSWERING, seed=1)
    report = data.report.splits[0]
    assert (data.train.rows + data.test.rows, report.blank_dropped, report.mended) == (1000, 2, 5)
    assert not {one.context for one in data.train.examples} & {one.context for one in data.test.examples}
    assert all(start is not None for one in data.train.examples for _, start in one.answers)
