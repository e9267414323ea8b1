from __future__ import annotations

import pytest

from penjing.core.errors import DataError
from penjing.data.columns import TextColumns, choose_text_columns


def choose(*columns, text=None, label=None, pair=None):
    return choose_text_columns(columns, "a.csv", text=text, label=label, pair=pair)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (("text", "label"), TextColumns("text", "label", None)),
        (("Category", "Text"), TextColumns("Text", "Category", None)),
        (("", "id", "review", "sentiment"), TextColumns("review", "sentiment", None)),
        (("label", "sentence1", "sentence2"), TextColumns("sentence1", "label", "sentence2")),
        (("Premise", "Hypothesis", "label"), TextColumns("Premise", "label", "Hypothesis")),
        (("text", "label", "label_text"), TextColumns("text", "label", None)),
    ],
)
def test_usual_names(columns, found):
    assert choose(*columns) == found


def test_named_columns_win():
    assert choose("text", "label", "q", "y", text="q", label="y") == TextColumns("q", "y", None)
    assert choose("q", "a", "label", text="q", pair="a") == TextColumns("q", "label", "a")
    assert choose("sentence1", "sentence2", "label", text="sentence2") == TextColumns("sentence2", "label", None)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: choose("text", "review", "label"), "2 columns that could be the text: 'text', 'review'.*Set text:"),
        (lambda: choose("text", "label", "intent"), "2 columns that could be the label"),
        (lambda: choose("a", "b"), "no column that looks like the text; its columns are 'a', 'b'.*Set text:"),
        (lambda: choose("text", "b"), "no column that looks like the label.*Set label:"),
        (lambda: choose("text", "label", text="txt"), "has no column 'txt'; its columns are 'text', 'label'"),
        (lambda: choose("text", "label", pair="b"), "has no column 'b'"),
        (lambda: choose("text;label"), "delimiter: ';' if that parts the columns"),
        (lambda: choose("a fine film", "1"), r"without a header line needs columns: \[text, label\]"),
        (lambda: choose(*map(str, range(99))), "'19' …"),
    ],
)
def test_what_cannot_be_settled(call, says):
    with pytest.raises(DataError, match=says):
        call()
