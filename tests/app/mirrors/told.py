"""A run that mirrors are told of, without a training behind it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel

from penjing.app.mirrors.base import Run, Step
from penjing.app.mirrors.recipe import MirrorRecipe
from penjing.core.nouns import Measurement

IDENTITY = "0123456789abcdef"


class Told(BaseModel):
    name: str = "topics"
    rate: float = 5e-5
    nothing: None = None
    inner: dict[str, Any] = {"list": [1, 2], "text": "很好"}
    mirrors: MirrorRecipe = MirrorRecipe(mlflow="env:NEVER_SHOWN")


def run() -> Run:
    return Run("topics", IDENTITY, Told())


def steps(first: int, last: int) -> list[Step]:
    """Steps from ``first`` to ``last``; the loss of step n is 1/n."""
    return [
        Step(number, 1000.0 + number, {"train/loss": 1 / number, "train/rate": 0.5})
        for number in range(first, last + 1)
    ]


def bundle(folder: Path) -> Any:
    """What a mirror reads of a version."""
    (folder / "report.html").write_text("<p>report</p>")
    metrics = {"accuracy": Measurement(value=0.75, low=0.5, high=0.875, n=8), "plain": Measurement(value=2, n=1)}
    return SimpleNamespace(
        reference="topics/1", digest="d" * 64, path=folder, manifest=SimpleNamespace(metrics=metrics)
    )
