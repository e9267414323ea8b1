"""What a version goes back to: the recipe it carries, and the data that it was made from and judged on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.app.corpus import corpus_data
from penjing.app.prepared import PreparedData
from penjing.app.pretrain_recipe import PretrainRecipe
from penjing.app.recipes import FinetuneRecipe
from penjing.app.tasks import TextSettings, flow_of, prepare
from penjing.core.errors import UsageError
from penjing.core.progress import Progress
from penjing.core.recipe import check_recipe
from penjing.data import DataRecipe
from penjing.store import Bundle


def prepare_for(bundle: Bundle, progress: Progress, *, given: DataRecipe | None = None) -> PreparedData:
    """Load the data a bundle was made from, by the recipe it carries, and check that it is the same.

    Args:
        bundle: whose data.
        progress: says what was found in them.
        given: data for a bundle that carries none.

    Raises:
        DataError: labels that the bundle does not know.
        UsageError: it carries none and none was given, or both; or the data have changed since.
    """
    flow, settings = flow_of(bundle.manifest.task, bundle.manifest.problem_type), settings_of(bundle)
    if given is not None:
        if "data" in origin_of(bundle):
            raise UsageError(f"{bundle.reference} carries its own data", expected="no other")
        given = given.answering(bundle.manifest.problem_type)
        return prepare(given, flow, settings, seed=0, progress=progress, outputs=bundle.manifest.labels)
    if "objective" in origin_of(bundle):
        return corpus_data(check_recipe(PretrainRecipe, origin_of(bundle), origin=bundle.reference), flow, settings)
    recipe = origin_recipe(bundle)
    data = prepare(recipe.data, flow, settings, seed=recipe.seed, progress=progress, outputs=bundle.manifest.labels)
    recorded = bundle.manifest.data.get("test")
    if recorded and recorded.sha256 != data.test.split.sha256:
        raise UsageError(
            f"the test split of {bundle.reference} is no longer what it was judged on ({recorded.source})",
            expected=f"content with digest {recorded.sha256[:12]}…",
            do="Restore the data, or fine-tune again on what there is now.",
        )
    return data


def origin_of(bundle: Bundle) -> Mapping[str, Any]:
    """The recipe of the fine-tuning that a bundle goes back to, through however many steps."""
    return bundle.manifest.recipe.get("origin") or bundle.manifest.recipe


def origin_recipe(bundle: Bundle) -> FinetuneRecipe:
    """The fine-tuning recipe that a bundle carries.

    Raises:
        UsageError: it carries none.
    """
    values = origin_of(bundle)
    if "data" not in values:
        raise UsageError(
            f"{bundle.reference} does not say which data it was made from",
            expected="a fine-tuned version",
            do="To quantise a version that was published as it came, give --data.",
        )
    return check_recipe(FinetuneRecipe, values, origin=f"the recipe in {bundle.reference}")


def settings_of(bundle: Bundle) -> TextSettings:
    """How a bundle's texts become tokens."""
    text = bundle.manifest.text
    return TextSettings(
        bundle.file(text.tokenizer), text.max_tokens, text.stride, translation=bundle.manifest.translation
    )
