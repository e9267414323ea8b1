"""From what was measured to the manifest's and the report's own forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel

from penjing.app.measure import Speed
from penjing.app.prepared import PreparedData
from penjing.app.recipes import MeasureRecipe, as_yaml
from penjing.core.nouns import Measurement
from penjing.core.recipe import recipe_digest
from penjing.evaluate import (
    Comparison,
    DataReport,
    Headline,
    LearningCurve,
    Quality,
    ReportContent,
    SystemRow,
    TrainPoint,
    ValidationPoint,
    Verdict,
)
from penjing.store.manifest import ManifestDraft


def learning_curve(history: Sequence[Mapping[str, float]]) -> LearningCurve:
    """Loss over real tokens, from the loop's records."""
    looks = [one for one in history if "validation_loss" in one]
    return LearningCurve(
        train=tuple(TrainPoint(tokens=int(one["seen"]), loss=one["loss"]) for one in history),
        validation=tuple(ValidationPoint(tokens=int(one["seen"]), loss=one["validation_loss"]) for one in looks),
    )


def conditions(recipe: MeasureRecipe) -> str:
    """How the speed table was measured, in a sentence."""
    return (
        f"{recipe.rounds} rounds in which the systems took turns; in each, {recipe.requests} single test texts one "
        f"after another (latency), then the same from {recipe.clients} connections at once (throughput). The clients "
        "share the server's cores."
    )


def system_rows(
    speeds: Sequence[Speed], quality: Sequence[Measurement | None], sizes: Sequence[int]
) -> tuple[SystemRow, ...]:
    """Rows of the speed table; ratios are against the first."""
    rows = []
    for speed, right, size in zip(speeds, quality, sizes, strict=True):
        figures = speed.summary()
        rows.append(
            SystemRow(
                name=speed.name,
                quality=right,
                size_mb=size / 1e6,
                p50_ms=figures["p50_ms"],
                p99_ms=figures["p99_ms"],
                requests_per_s=figures["requests_per_s"],
                tokens_per_s=figures["tokens_per_s"],
                ratio=None if speed is speeds[0] else speed.ratio_to(speeds[0]),
            )
        )
    return tuple(rows)


def data_report(data: PreparedData) -> DataReport:
    """The data section of a report."""
    splits = {name: part.record for name, part in data.parts.items()}
    classes = {report.name: dict(report.labels) for report in data.data.report.splits}
    return DataReport(splits=splits, classes=classes, findings=tuple(data.data.report.remarks()))


def report_content(
    draft: ManifestDraft,
    *,
    model: str,
    recipe: BaseModel,
    quality: Quality | None = None,
    metric: str = "accuracy",
    data: PreparedData | None = None,
    systems: tuple[SystemRow, ...] = (),
    conditions: str = "",
    learning: LearningCurve | None = None,
    comparison: Comparison | None = None,
    verdict: Verdict | None = None,
    summary: str = "",
) -> ReportContent:
    """Everything a version's report says."""
    return ReportContent(
        headline=Headline(
            model=model, task=draft.task, created=datetime.now(UTC), machine=draft.machine, summary=summary
        ),
        quality=quality,
        metric=metric,
        systems=systems,
        conditions=conditions,
        learning=learning,
        comparison=comparison,
        verdict=verdict,
        data=data_report(data) if data else None,
        recipe_yaml=as_yaml(recipe),
        recipe_digest=recipe_digest(recipe),
        parents=draft.parents,
        notes=draft.notes,
    )
