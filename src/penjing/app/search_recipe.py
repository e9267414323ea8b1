"""What a search is told: a fine-tuning recipe, which of its keys may vary, and how long to try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from penjing.app.recipes import FinetuneRecipe
from penjing.core.nouns import Frozen

SearchKey = Literal[
    "training.epochs", "training.batch_size", "training.learning_rate", "training.weight_decay",
    "training.warmup_fraction", "training.clip_norm", "training.dropout", "training.frozen_layers",
    "training.delta.rank", "training.delta.alpha", "text.max_tokens",
]  # fmt: skip
WHOLE = frozenset({"training.batch_size", "training.frozen_layers", "training.delta.rank", "text.max_tokens"})
Scalar = bool | int | float | str | None


class Choice(Frozen):
    """A few values."""

    choices: tuple[Scalar, ...] = Field(min_length=1)

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """Every value."""
        return self.choices


class Span(Frozen):
    """All values from ``low`` to ``high``, both included."""

    low: float
    high: float
    log: bool = False
    step: float | None = Field(None, gt=0)

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """The outermost values."""
        return self.low, self.high

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and high {self.high:g}; low must be below high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log wants low above 0 and no step")
        return self


class SearchSettings(Frozen):
    """What varies, and how long to try.

    Attributes:
        space: recipe key → ``{low, high}`` (with ``log: true`` or ``step``), or ``{choices: [...]}``. Keys:
            training.epochs, .batch_size, .learning_rate, .weight_decay, .warmup_fraction, .clip_norm, .dropout,
            .frozen_layers, .delta.rank, .delta.alpha, and text.max_tokens.
        minutes: of all trials together, those before a kill included; None sets no bound.
        trials: at most so many.
        looks: at the validation split in a trial, at equal distances; after each a trial may be given up.
        prune: give a trial up that does worse than half of the others did at the same share of their way.
        startup: trials drawn at random before the sampler learns from them, and before any is given up.
    """

    space: dict[SearchKey, Span | Choice] = Field(min_length=1)
    minutes: float | None = Field(30.0, gt=0)
    trials: int = Field(20, ge=1, le=10_000)
    looks: int = Field(4, ge=1, le=100)
    prune: bool = True
    startup: int = Field(4, ge=1)


class SearchRecipe(FinetuneRecipe):
    """A fine-tuning recipe, and what of it is searched for.

    Attributes:
        search: the space and the budget.
    """

    search: SearchSettings

    @property
    def fixed(self) -> FinetuneRecipe:
        """The fine-tuning recipe as it was given."""
        return FinetuneRecipe.model_validate({name: getattr(self, name) for name in FinetuneRecipe.model_fields})

    def with_values(self, values: Mapping[str, Scalar]) -> FinetuneRecipe:
        """The fine-tuning recipe with some keys set, as ``--set`` would.

        Raises:
            ValidationError: they do not fit.
        """
        told: dict[str, Any] = self.fixed.model_dump(mode="json")
        for key, value in values.items():
            *path, last = key.split(".")
            place = told
            for step in path:
                place[step] = place.get(step) or {}
                place = place[step]
            place[last] = int(value) if key in WHOLE and isinstance(value, float) else value
        return FinetuneRecipe.model_validate(told)

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        for key, given in self.search.space.items():
            for value in given.ends:
                try:
                    self.with_values({key: value})
                except ValidationError as error:
                    raise ValueError(f"search.space.{key}: {value!r}: {error.errors()[0]['msg']}") from error
        return self
