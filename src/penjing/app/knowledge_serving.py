"""Knowledge bases into a server: which models they need, and the dialect that answers for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from penjing.app.knowledge_models import ROLES, pinned
from penjing.core.errors import UsageError
from penjing.core.recipe import check_recipe
from penjing.knowledge.adding import RECIPE
from penjing.knowledge.http import KnowledgeBases, Served
from penjing.knowledge.opening import base_at
from penjing.knowledge.postgres_link import is_address
from penjing.knowledge.recipe import KnowledgeRecipe
from penjing.serve import ServeRecipe
from penjing.serve.api.mounts import MoreMounts
from penjing.serve.api.site import Mount
from penjing.store import Store, parse_reference

_BUSY_S = 5.0  # a request waits no longer for another writer


def with_knowledge(
    recipe: ServeRecipe, bases: Mapping[str, Path | str], *, store: Path, is_writable: bool = False
) -> tuple[ServeRecipe, MoreMounts]:
    """What to hand to a server that is to answer for knowledge bases: its recipe, and ``also``.

    The very versions that a base names, its embedding model's at least, get a label and are served beside newer ones.

    Args:
        recipe: of the server.
        bases: name → file, or URL of a database.
        store: where the server finds models.
        is_writable: whether requests may add and remove documents.

    Raises:
        NotFoundError: no such base, or a model of it is not in the store.
        UsageError: a model of another task, or several workers.
    """
    if recipe.workers > 1:
        raise UsageError(
            f"knowledge bases and {recipe.workers} workers", expected="workers: 1, which serves knowledge bases"
        )
    served, labels, models = {}, {name: dict(own) for name, own in recipe.labels.items()}, set(recipe.models or ())
    for name, place in bases.items():
        base = base_at(place, busy_timeout_s=_BUSY_S)
        base.must_exist()
        told = pinned(check_recipe(KnowledgeRecipe, base.settings().get(RECIPE) or {}, origin=base.place), Store(store))
        for role in ROLES:
            if named := getattr(told, role):
                model, version = parse_reference(named)
                models.add(model)
                if isinstance(version, int):
                    labels.setdefault(model, {})[f"knowledge-{name}-{role}"] = version
        served[name] = Served(base, is_writable)
    changed = {"labels": labels, "models": tuple(sorted(models)) if recipe.models is not None else None}
    return recipe.model_copy(update=changed), lambda plane: [Mount(KnowledgeBases(plane, served))]


def named_bases(said: list[str]) -> dict[str, Path | str]:
    """``NAME=FILE`` or ``NAME=URL`` of each.

    Raises:
        UsageError: another form, or a name twice.
    """
    found: dict[str, Path | str] = {}
    for one in said:
        name, _, place = one.partition("=")
        if not name or not place or "/" in name:
            raise UsageError(f"--knowledge {one!r}", expected="NAME=FILE, such as handbook=handbook.kb, or NAME=URL")
        if name in found:
            raise UsageError(f"--knowledge {name} was given twice", expected="each name once")
        found[name] = place if is_address(place) else Path(place)
    return found
