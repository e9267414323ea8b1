"""``penjing quickstart``: the whole spine on real input, from pretrained weights to measured answers over HTTP.

1. fine-tune a pretrained encoder on 20 newsgroups   → version 1
2. quantise it to int8 and measure all three systems → version 2
3. serve, and ask: raw text, and token ids as a TensorFlow Serving client sends them
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penjing.app.finetune import finetune
from penjing.app.holding import whole_checkpoint
from penjing.app.prepared import PreparedData
from penjing.app.quantize import quantize
from penjing.app.recipes import FinetuneRecipe, QuickstartRecipe
from penjing.app.transformers_peer import TransformersPeer
from penjing.core.errors import CorruptBundleError, NotFoundError
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest, resolve_recipe
from penjing.data import DATA_SETS, load_text_splits
from penjing.evaluate import ReportContent
from penjing.models.checkpoint import find_checkpoint
from penjing.store import Bundle, Store
from penjing.tokens import Text
from penjing.train.recipe import resolve_precision

# Chosen by measurement for two cores without a GPU (docs/experiments.md): all but the last layers
# frozen and computed once, then three epochs of the rest.
RECIPE: dict[str, Any] = {
    "name": "newsgroups",
    "model": "all-minilm-l6-v2",
    "data": {"train": "20newsgroups", "validation_fraction": 0.05},
    "text": {"max_tokens": 64},
    "training": {"epochs": 3, "batch_size": 32, "learning_rate": 5e-4, "dropout": 0.0},
    "measure": {"rounds": 3, "requests": 32},
}


@dataclass(frozen=True, slots=True)
class Quickstarted:
    """What came of it.

    Attributes:
        first, second: the fp32 and the int8 version.
        reports: their reports' content, in that order.
        fresh: False if both were in the store already.
    """

    first: Bundle
    second: Bundle
    reports: tuple[ReportContent, ReportContent]
    fresh: bool


def quickstart(
    recipe: QuickstartRecipe, *, store: Path, again: bool = False, progress: Progress = SILENT
) -> Quickstarted:
    """Make both versions, or find them where the same recipe has made them before from the same data and weights.

    Args:
        recipe: see :func:`quickstart_recipe`.
        store: where the versions go.
        again: make them anew even if they are there.
        progress: where to show it.

    Raises:
        PenjingError: of the stage that failed.
    """
    home = Store(store)
    found = None if again else _made_before(home, recipe)
    if found:
        progress.say(f"{found[0].reference} and {found[1].reference} are in {store} already, by this very recipe.")
        first, second = found
    else:
        first, data = _first(home, recipe.finetuning, again=again, progress=progress)
        second = _second(home, first, data, recipe=recipe, progress=progress)
        home.aliases.set(recipe.name, "stable", version=second.manifest.version)
    return Quickstarted(first, second, (report_of(first), report_of(second)), fresh=found is None)


def quickstart_recipe(file: Path | None, sets: Sequence[str], flags: dict[str, Any]) -> QuickstartRecipe:
    """:data:`RECIPE` with the user's own wishes on top; all but the model's last layers frozen unless told otherwise.

    Two layers are trained where the processor multiplies bf16 natively, elsewhere one: minutes either way.

    Raises:
        RecipeError: with all faults in one message.
        CheckpointError, ResourceError: the model cannot be had.
    """
    told = resolve_recipe(QuickstartRecipe, file, sets, flags=flags, base=RECIPE)
    if "frozen_layers" in told.training.model_fields_set:
        return told
    config = find_checkpoint(told.model).config
    layers = int(config.get("num_hidden_layers") or config.get("n_layers") or 1)
    trained = 2 if resolve_precision(told.training.precision) == "bf16" else 1
    training = told.training.model_copy(update={"frozen_layers": max(0, layers - trained)})
    return told.model_copy(update={"training": training})


def report_of(bundle: Bundle) -> ReportContent:
    """The content of a bundle's report.

    Raises:
        CorruptBundleError: it cannot be read.
    """
    try:
        return ReportContent.model_validate_json(bundle.file("evidence/report.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise CorruptBundleError(f"the evidence of {bundle.reference} cannot be read: {error}") from error


def _first(
    home: Store, recipe: FinetuneRecipe, *, again: bool, progress: Progress
) -> tuple[Bundle, PreparedData | None]:
    earlier = None if again else _version_by(home, recipe)
    if earlier:
        progress.say(f"{earlier.reference} is in the store already; going on from it.")
        return earlier, None
    done = finetune(recipe, store=home.root, progress=progress)
    progress.say(f"Registered {done.bundle.reference}.")
    return done.bundle, done.data


def _second(
    home: Store, first: Bundle, data: PreparedData | None, *, recipe: QuickstartRecipe, progress: Progress
) -> Bundle:
    progress.say("Quantising to int8 …")
    peer = TransformersPeer(whole_checkpoint(first), max_tokens=first.manifest.text.max_tokens)
    command = recipe.quantizing(first.reference)
    second = quantize(command, store=home.root, data=data, peer=peer, progress=progress).bundle
    progress.say(f"Registered {second.reference}.")
    return second


def _made_before(home: Store, recipe: QuickstartRecipe) -> tuple[Bundle, Bundle] | None:
    first = _version_by(home, recipe.finetuning)
    if first is None:
        return None
    wanted = recipe_digest(recipe.quantizing(first.reference))
    for version in reversed(home.versions(recipe.name)):
        candidate = home.bundle(recipe.name, version)
        manifest = candidate.manifest
        if manifest.recipe_digest == wanted and any(parent.digest == first.digest for parent in manifest.parents):
            return first, candidate
    return None


def _version_by(home: Store, recipe: FinetuneRecipe) -> Bundle | None:
    """The newest version that this recipe made, if the data and the weights it names are still what they were."""
    wanted = recipe_digest(recipe)
    try:
        versions = home.versions(recipe.name)
    except NotFoundError:
        return None
    made = (home.bundle(recipe.name, version) for version in reversed(versions))
    found = next((bundle for bundle in made if bundle.manifest.recipe_digest == wanted), None)
    return found if found and _same_origin(found, recipe) else None


def _same_origin(bundle: Bundle, recipe: FinetuneRecipe) -> bool:
    manifest = bundle.manifest
    if find_checkpoint(recipe.model).digest not in {parent.digest for parent in manifest.parents}:
        return False
    if recipe.data.train in DATA_SETS and recipe.data.test is None and recipe.data.validation is None:
        return True  # pinned by digest
    data = load_text_splits(recipe.data, recipe.seed)
    splits = {"train": data.train, "test": data.test}
    return all(manifest.data[name].sha256 == split.sha256 for name, split in splits.items() if name in manifest.data)


def article_request(bundle: Bundle, text: Text) -> bytes:
    """The body that the article's client sends: token ids and mask of one text."""
    from penjing.tokens import TextEncoder

    limits = bundle.manifest.text
    (encoding,) = TextEncoder(bundle.file(limits.tokenizer), max_tokens=limits.max_tokens).encode([text])
    ids: Sequence[int] = encoding.ids.tolist()
    return json.dumps({"instances": [{"input_ids": ids, "attention_mask": [1] * len(ids)}]}).encode()
