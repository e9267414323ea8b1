"""What a mirror is told of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from penjing.core.nouns import Measurement
from penjing.store import Bundle

_NAMES = {
    "loss": "train/loss",
    "rate": "train/rate",
    "gradient_norm": "train/gradient_norm",
    "tokens_per_s": "train/tokens_per_s",
    "validation_loss": "validation/loss",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run that begins or goes on.

    Attributes:
        name: of the model in the store.
        identity: the same where a killed run goes on, and no other run's.
        recipe: what it was told.
    """

    name: str
    identity: str
    recipe: BaseModel


@dataclass(frozen=True, slots=True)
class Step:
    """A step behind the run.

    Attributes:
        number: from 1.
        at: seconds since 1970.
        figures: name → value.
    """

    number: int
    at: float
    figures: Mapping[str, float]


class Mirror(Protocol):
    """A program that shows a run. All calls come one after another, from one thread that is not the training's.

    Attributes:
        name: for messages.
    """

    name: str

    def begin(self, run: Run) -> None:
        """A run begins, or goes on."""

    def take(self, steps: Sequence[Step]) -> None:
        """Steps, in order."""

    def end(self, bundle: Bundle, last: int) -> None:
        """The run became a version, after ``last`` steps."""

    def break_off(self) -> None:
        """It became none: refused, failed or interrupted."""


def figures_of(record: Mapping[str, float]) -> dict[str, float]:
    """What mirrors show of the loop's record of a step."""
    return {shown: float(record[name]) for name, shown in _NAMES.items() if name in record}


def scores_of(metrics: Mapping[str, Measurement]) -> dict[str, float]:
    """Measurements as plain figures: ``test/accuracy``, and the bounds of its interval, ``.low`` and ``.high``."""
    found: dict[str, float] = {}
    for name, one in metrics.items():
        bounds = {"": one.value, ".low": one.low, ".high": one.high}
        found |= {f"test/{name}{suffix}": value for suffix, value in bounds.items() if value is not None}
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A recipe's values by dotted key, as text; where a run is mirrored is no part of what it does."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return found


def parameters_of(run: Run) -> dict[str, str]:
    """The recipe, flat, without where the run is mirrored."""
    return flat(run.recipe.model_dump(mode="json", exclude={"mirrors"}))
