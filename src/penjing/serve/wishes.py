"""Which models are to be served, and which versions of each: as the recipe says, until a reload says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penjing.serve.recipe import ServeRecipe, VersionPolicy


@dataclass(frozen=True, slots=True)
class Wishes:
    """Never changed, only replaced.

    Attributes:
        models: names; None is all that the catalogue has.
        usual: which versions of a model that ``policies`` does not name.
        policies: which versions, by model.
        labels: model → label → version, on top of the store's aliases.
        is_complete: a model that is not named is to be unloaded, as after TensorFlow Serving's reload; else
            what has been loaded stays.
    """

    models: tuple[str, ...] | None
    usual: VersionPolicy
    policies: Mapping[str, VersionPolicy] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    is_complete: bool = False

    @classmethod
    def of(cls, recipe: ServeRecipe) -> Wishes:
        """What a recipe wishes."""
        return cls(recipe.models or None, recipe.versions, labels=recipe.labels)

    def policy(self, model: str) -> VersionPolicy:
        """Which versions of a model."""
        return self.policies.get(model, self.usual)

    def targets(self, model: str, aliases: Mapping[str, int]) -> dict[str, int]:
        """Where each label of a model is to lead.

        Args:
            model: its name.
            aliases: the store's.
        """
        return {**aliases, **self.labels.get(model, {})}
