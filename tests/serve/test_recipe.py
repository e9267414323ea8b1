"""The recipe of a server, and which versions its policies choose."""

from __future__ import annotations

import pytest

from penjing.core.errors import RecipeError
from penjing.core.recipe import resolve_recipe
from penjing.serve import ServeRecipe, VersionPolicy


def test_values_come_by_dotted_keys():
    recipe = resolve_recipe(ServeRecipe, None, ["versions.kind=specific", "versions.specific=[1, 3]", "poll_s=null"])
    assert recipe.versions.specific == (1, 3)
    assert recipe.poll_s is None


@pytest.mark.parametrize("override", ["versions.kind=specific", "versions.specific=[1]", "poll_s=0", "port=70000"])
def test_faults(override):
    with pytest.raises(RecipeError):
        resolve_recipe(ServeRecipe, None, [override])


def test_labelled_versions_are_wanted_too():
    labels = {"stable": 2, "gone": 9}
    assert VersionPolicy().wanted([1, 2, 3], labels) == {2, 3}
    assert VersionPolicy(labelled=False).wanted([1, 2, 3], labels) == {3}
    assert VersionPolicy(count=5).wanted([], {}) == set()
