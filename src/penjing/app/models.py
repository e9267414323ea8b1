"""``penjing models``: the versions in a store, with the aliases that lead to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penjing.store import Bundle, Store


@dataclass(frozen=True, slots=True)
class Listed:
    """A version and its aliases."""

    bundle: Bundle
    aliases: tuple[str, ...]


def list_versions(store: Path) -> list[Listed]:
    """Every version of every model, by name and number."""
    home, listed = Store(store), []
    for model in home.models():
        aliases = home.aliases.of(model)
        for version in home.versions(model):
            leading = tuple(sorted(alias for alias, target in aliases.items() if target == version))
            listed.append(Listed(home.bundle(model, version), leading))
    return listed
