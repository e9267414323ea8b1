"""``penjing models``: the versions in a store, with the aliases that lead to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penjing.app.recipes import ListRecipe
from penjing.store import Bundle, Store


@dataclass(frozen=True, slots=True)
class Listed:
    """A version and its aliases."""

    bundle: Bundle
    aliases: tuple[str, ...]


def list_versions(store: Path, recipe: ListRecipe | None = None) -> list[Listed]:
    """The versions that a recipe asks for, all without one; by name and number.

    Raises:
        NotFoundError: the recipe names a model that is not there.
    """
    home, listed, told = Store(store), [], recipe or ListRecipe()
    if told.model is not None:
        home.bundle(told.model, None)
    for model in home.models() if told.model is None else [told.model]:
        aliases = home.aliases.of(model)
        for version in home.versions(model):
            leading = tuple(sorted(alias for alias, target in aliases.items() if target == version))
            if leading or not told.aliased:
                listed.append(Listed(home.bundle(model, version), leading))
    return listed
