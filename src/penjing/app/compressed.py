"""What ``penjing compress`` found, and how the one it chose becomes a version with a report of them all."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from penjing.app.comparing import answers_of, costs
from penjing.app.disagreements import disagreements
from penjing.app.evidence import conditions, report_content
from penjing.app.judging import judge_files
from penjing.app.origin import origin_of, prepare_for
from penjing.app.prepared import PreparedData
from penjing.app.smaller_recipes import CompressCommand
from penjing.core.files import canonical_json
from penjing.core.nouns import Measurement
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.evaluate import Change, Comparison, ReportContent, SystemRow, write_report
from penjing.store import Bundle, ManifestDraft, Parent, Staging, Store, parse_reference

_ECE = "expected_calibration_error"
_STEPS = "evidence/steps.yaml"
_COMMANDS = {
    "vocabulary": "prune",
    "teachers": "distill",
    "quantize": "quantize",
    "stages": "cascade",
}  # by a key of each


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rung of the ladder.

    Attributes:
        name: what was done.
        bundle: in the workshop.
        change: against the model, on the whole test split.
        speedup: of requests a second, through the server.
    """

    name: str
    bundle: Bundle
    change: Change
    speedup: Measurement

    @property
    def lost(self) -> Measurement:
        """The difference of the measure that the task goes by."""
        return next(iter(self.change.differences.values()))

    @property
    def megabytes(self) -> float:
        """What serving loads."""
        return self.bundle.manifest.engine_bytes / 1e6

    def told(self) -> str:
        """It in a line."""
        speed = f"{self.speedup.value:.2f} times as fast"
        return f"{self.name}: {self.lost.value:+.4f} [{low(self.lost):+.4f}], {self.megabytes:.1f} MB, {speed}"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the report shows of the whole ladder.

    Attributes:
        data: of the model.
        systems: the speed table, the model first.
        told: every candidate in a line, and what was left out.
    """

    data: PreparedData
    systems: tuple[SystemRow, ...]
    told: tuple[str, ...]


def low(figure: Measurement) -> float:
    """The lower end of the interval, the value itself where there is none."""
    return figure.value if figure.low is None else figure.low


def publish_chosen(
    command: CompressCommand, parent: Bundle, chosen: Candidate, *, home: Store, shown: Shown, progress: Progress
) -> Bundle:
    """Register a candidate, with the report of the ladder and the recipes of the steps that made it."""
    name, draft = command.name or parent.manifest.model, _draft(command, parent, chosen, shown)
    test = prepare_for(chosen.bundle, SILENT).test
    judged = judge_files(chosen.bundle.path, draft, test, name=f"Judging {chosen.name}", progress=progress)
    before = answers_of(parent, shown.data.test, progress)
    (metric,) = chosen.change.differences
    content = report_content(
        draft,
        model=name,
        recipe=command,
        quality=judged.result,
        metric=metric,
        data=shown.data,
        systems=shown.systems,
        conditions=conditions(command.measure),
        comparison=Comparison(baseline=parent.reference, candidate=chosen.name, result=chosen.change),
    )
    more = {
        "measurements": _calibration(parent, judged.result.metrics.get(_ECE)),
        "disagreements": disagreements(draft, before, judged.predictions, part=shown.data.test),
        "steps_yaml": _steps(chosen.bundle, parent.reference),
    }
    with home.stage(name) as staging:
        return _publish(chosen, draft, content.model_copy(update=more), staging=staging)


def _draft(command: CompressCommand, parent: Bundle, chosen: Candidate, shown: Shown) -> ManifestDraft:
    before = chosen.bundle.manifest.draft()
    return before.model_copy(
        update={
            "recipe": command.model_dump(mode="json") | {"origin": dict(origin_of(parent))},
            "recipe_digest": recipe_digest(command),
            "parents": (Parent(kind="version", name=parent.reference, digest=parent.digest),),
            "metrics": before.metrics | costs(chosen.change),
            "speed": before.speed | {"speedup": chosen.speedup},
            "notes": (*before.notes, *shown.told),
        }
    )


def _publish(chosen: Candidate, draft: ManifestDraft, content: ReportContent, *, staging: Staging) -> Bundle:
    for folder in ("checkpoint", "engine", "evidence"):
        if (chosen.bundle.path / folder).is_dir():
            shutil.copytree(chosen.bundle.path / folder, staging.path / folder, dirs_exist_ok=True)
    write_report(staging.path / "report.html", content)
    (staging.path / "recipe.yaml").write_text(content.recipe_yaml, encoding="utf-8")
    (staging.path / _STEPS).write_text(content.steps_yaml, encoding="utf-8")
    (staging.path / "evidence" / "report.json").write_bytes(canonical_json(content.model_dump(mode="json")))
    return staging.publish(draft)


def _calibration(parent: Bundle, after: Measurement | None) -> dict[str, Measurement]:
    """The calibration error before and after, of tasks that have one."""
    before = parent.manifest.metrics.get(_ECE)
    told = {f"calibration error of {parent.reference}": before, "calibration error of the smaller form": after}
    return {name: one for name, one in told.items() if one is not None}


def _steps(chosen: Bundle, model: str) -> str:
    """The recipes of the steps that led from a model to the chosen version, in their order, a document each."""
    home, ordered = Store(chosen.path.parent.parent), dict[str, str]()

    def follow(one: Bundle) -> None:
        for behind in one.manifest.parents:
            if behind.kind == "version" and behind.name not in (*ordered, model):
                follow(home.bundle(*parse_reference(behind.name)))
        command = next(name for key, name in _COMMANDS.items() if key in one.manifest.recipe)
        recipe = one.file("recipe.yaml").read_text(encoding="utf-8")
        ordered[one.reference] = f"# penjing {command} makes {one.reference}\n{recipe}"

    follow(chosen)
    return "---\n".join(ordered.values())
