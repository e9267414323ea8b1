from __future__ import annotations

import pytest

from penjing.core.errors import RecipeError
from penjing.core.recipe import check_recipe, recipe_digest
from penjing.data.readers.options import ReadOptions
from penjing.data.recipe import DataRecipe


def check(**values):
    return check_recipe(DataRecipe, values, origin="recipe.yaml")


def test_defaults_are_plain_data():
    recipe = check(train="a.csv")
    assert recipe.reading == ReadOptions()
    assert check(**recipe.model_dump(mode="json")) == recipe
    assert len(recipe_digest(recipe)) == 64


def test_reading_options_follow():
    recipe = check(
        train="a", encoding="gb18030", encoding_errors="replace", delimiter=";", quotes="none", columns=["a"]
    )
    assert recipe.reading == ReadOptions("gb18030", "replace", ";", quoted=False, columns=("a",))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "train: field required"),
        ({"train": ""}, "train: "),
        ({"train": "a", "txt": "b"}, "txt: unknown key; did you mean 'text'"),
        ({"train": "a", "encoding": "utf-9"}, "unknown encoding"),
        ({"train": "a", "encoding": "hex"}, "unknown encoding"),
        ({"train": "a", "delimiter": '"'}, "a delimiter cannot be"),
        ({"train": "a", "delimiter": "||"}, "delimiter: "),
        ({"train": "a", "columns": ["x", "x"]}, "one name of its own"),
        ({"train": "a", "columns": []}, "one name of its own"),
        ({"train": "a", "text": "x", "label": "x"}, "different columns"),
        ({"train": "a", "test_fraction": 1.0}, "test_fraction: "),
        ({"train": "a", "validation_fraction": 0}, "validation_fraction: "),
        ({"train": "a", "limit_train_rows": 0}, "limit_train_rows: "),
        ({"train": "a", "on_leak": "ignore"}, "on_leak: "),
    ],
)
def test_faults(values, says):
    with pytest.raises(RecipeError, match=says):
        check(**values)
