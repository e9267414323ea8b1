"""The figures of real data sets, as their authors state them."""

from __future__ import annotations

import pytest

from penjing.data import DataRecipe, load_text_splits
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
