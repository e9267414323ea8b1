"""``penjing compress``: what may be lost and gained in, the fastest version that keeps both out, or a refusal.

The ladder: tokens nobody needs go, students of fewer layers learn from the model, each of them also in int8. Every rung
is a version in a workshop beside the store, so that a run that was killed goes on where it was. All are judged on the
whole test split, text by text against the model; those that lose little enough and are small enough are measured
through the server, in turns with the model. The fastest whose interval keeps the contract is registered, and no other.

Trade: students are trained before anything is known of their speed; nothing is left out of the ladder early.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from penjing.app.comparing import answers_of, costs
from penjing.app.distill import distill
from penjing.app.evidence import conditions, report_content, system_rows
from penjing.app.holding import whole_checkpoint
from penjing.app.judging import compare
from penjing.app.measure import measure, served, trial_server, trial_texts
from penjing.app.origin import origin_of, prepare_for
from penjing.app.prepared import PreparedData
from penjing.app.prune import prune
from penjing.app.quantize import quantize
from penjing.app.recipes import MeasureRecipe, QuantizeCommand
from penjing.app.smaller_recipes import CompressCommand, DistillCommand, PruneCommand
from penjing.app.tasks import flow_of
from penjing.compress.recipe import QuantizeRecipe
from penjing.core.errors import GateRefusal
from penjing.core.files import canonical_json, digest
from penjing.core.nouns import Measurement
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.evaluate import Change, Comparison, SystemRow, write_report
from penjing.models.checkpoint import find_checkpoint
from penjing.store import Bundle, Parent, Store, parse_reference

_BRIEF = MeasureRecipe(rounds=1, requests=4, clients=1)  # the real measuring comes in the end, all in turns


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rung of the ladder.

    Attributes:
        name: what was done.
        bundle: in the workshop.
        change: against the model, on the whole test split.
        speedup: of requests a second; None where it was not measured, since it loses too much or is too large.
    """

    name: str
    bundle: Bundle
    change: Change
    speedup: Measurement | None = None

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
        speed = "not measured" if self.speedup is None else f"{self.speedup.value:.2f} times as fast"
        return f"{self.name}: {self.lost.value:+.4f} [{_low(self.lost):+.4f}], {self.megabytes:.1f} MB, {speed}"


@dataclass(frozen=True, slots=True)
class Compressed:
    """What came of it.

    Attributes:
        bundle: the new version.
        chosen: the candidate that it is.
        candidates: all, in the order in which they were made.
        systems: the speed table, the model first.
    """

    bundle: Bundle
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    systems: tuple[SystemRow, ...]


def compress(command: CompressCommand, *, store: Path, progress: Progress = SILENT) -> Compressed:
    """Go through the ladder, verify, register one or refuse.

    Raises:
        GateRefusal: no candidate keeps the contract; the message lists what was found. Nothing is registered.
        UsageError: the version holds no checkpoint, or says not what it was made from.
    """
    home = Store(store)
    parent = home.bundle(*parse_reference(command.model))
    data = prepare_for(parent, progress)
    defined = {"recipe": recipe_digest(command), "model": parent.digest}
    workshop = home.root / ".runs" / f"compress-{digest(defined)[:16]}"
    _bring(parent, workshop)
    made = _ladder(command, parent, workshop, progress=progress)
    before = answers_of(parent, data.test, progress)
    judged = []
    for name, bundle in made.items():
        after = answers_of(bundle, prepare_for(bundle, progress).test, progress)
        judged.append(Candidate(name, bundle, compare(bundle.manifest, before, after, data.test)))
    candidates, systems = _timed(command, parent, judged, data, progress=progress)
    kept = [one for one in candidates if _keeps(command, one)]
    if not kept:
        _refuse(command, parent, candidates, home)
    chosen = max(kept, key=lambda one: one.speedup.value if one.speedup else 0.0)
    bundle = _register(command, parent, chosen, home=home, data=data, candidates=candidates, systems=systems)
    shutil.rmtree(workshop, ignore_errors=True)
    return Compressed(bundle, chosen, tuple(candidates), systems)


def _bring(parent: Bundle, workshop: Path) -> None:
    """The model itself in the workshop, where the steps find it under its own reference."""
    target = workshop / parent.manifest.model / str(parent.manifest.version)
    if not target.exists():
        beside = workshop / ".bringing"
        shutil.rmtree(beside, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(parent.path, beside)
        beside.rename(target)


def _ladder(command: CompressCommand, parent: Bundle, workshop: Path, *, progress: Progress) -> dict[str, Bundle]:
    """Every rung, made now or by an earlier call; by what was done."""
    home, made = Store(workshop), dict[str, Bundle]()

    def rung(told: str, name: str, make: Callable[[], object]) -> Bundle:
        if name not in home.models():
            progress.say(f"— {told}")
            make()
        made[told] = home.bundle(name)
        return made[told]

    cut = PruneCommand(model=parent.reference, name="cut", vocabulary=True, measure=None, seed=command.seed)
    pruned = rung("fewer tokens", "cut", partial(prune, cut, store=workshop, progress=progress))
    for layers in command.layers or _usual_layers(parent):
        told = DistillCommand(
            name=f"layers-{layers}",
            teachers=(pruned.reference,),  # not the model: token by token, both sides must read the same tokens
            layers=layers,
            distill=command.distill,
            training=command.training,
            measure=None,
            seed=command.seed,
        )
        rung(f"student of {layers}", told.name, partial(distill, told, store=workshop, progress=progress))
    for name, bundle in list(made.items()):
        int8 = QuantizeCommand(
            model=bundle.reference, quantize=QuantizeRecipe(max_drop=None), measure=_BRIEF, seed=command.seed
        )
        number = bundle.manifest.version
        if home.bundle(bundle.manifest.model).manifest.version == number:
            progress.say(f"— {name}, int8")
            quantize(int8, store=workshop, progress=progress)
        made[f"{name}, int8"] = home.bundle(bundle.manifest.model, number + 1)
    return made


def _usual_layers(parent: Bundle) -> list[int]:
    config = find_checkpoint(str(whole_checkpoint(parent))).config
    there = int(config.get("num_hidden_layers") or config.get("n_layers") or 1)
    return sorted({max(1, there // part) for part in (2, 3, 6)} - {there}, reverse=True)


def _timed(
    command: CompressCommand, parent: Bundle, judged: Sequence[Candidate], data: PreparedData, *, progress: Progress
) -> tuple[list[Candidate], tuple[SystemRow, ...]]:
    """The candidates, with the speed of those that keep the other promises, and the table."""
    worth = [one for one in judged if _small_and_good(command, one)]
    if not worth:
        return list(judged), ()
    texts, tokens = trial_texts(data.test, flow_of(parent.manifest.task, parent.manifest.problem_type))
    bundles = [parent, *(one.bundle for one in worth)]
    with trial_server([(one.path, one.manifest.draft()) for one in bundles], model="trial") as url:
        systems = [
            served(name, url, f"/v1/models/trial/versions/{at}:predict", clients=command.measure.clients)
            for at, name in enumerate((parent.reference, *(one.name for one in worth)), start=1)
        ]
        speeds = measure(systems, texts, tokens, recipe=command.measure, progress=progress)
    ratios = {one.name: speed.ratio_to(speeds[0]) for one, speed in zip(worth, speeds[1:], strict=True)}
    (metric,) = judged[0].change.differences
    quality = [one.manifest.metrics.get(metric) for one in bundles]
    rows = system_rows(speeds, quality, [one.manifest.engine_bytes for one in bundles])
    return [Candidate(one.name, one.bundle, one.change, ratios.get(one.name)) for one in judged], rows


def _small_and_good(command: CompressCommand, one: Candidate) -> bool:
    small = command.max_mb is None or one.megabytes <= command.max_mb
    return small and _low(one.lost) >= -command.max_drop


def _keeps(command: CompressCommand, one: Candidate) -> bool:
    return one.speedup is not None and _low(one.speedup) >= command.min_speedup


def _low(figure: Measurement) -> float:
    """The lower end of the interval, the value itself where there is none."""
    return figure.value if figure.low is None else figure.low


def _refuse(command: CompressCommand, parent: Bundle, candidates: Sequence[Candidate], home: Store) -> None:
    lines = [one.told() for one in sorted(candidates, key=lambda one: -_low(one.lost))]
    home.ledger.append("refused", parent.reference, {"form": "compressed", "reasons": lines})
    size = "" if command.max_mb is None else f", at most {command.max_mb:g} MB"
    raise GateRefusal(
        f"no smaller form of {parent.reference} keeps the contract. Difference [lower end], size and speed of each:\n  "
        + "\n  ".join(lines),
        expected=f"a loss of at most {command.max_drop:g} and {command.min_speedup:g} times the speed{size}, "
        "each by the lower end of its interval",
        do="Ask for less, try other layers, train longer, or measure on more test texts.",
    )


def _register(
    command: CompressCommand,
    parent: Bundle,
    chosen: Candidate,
    *,
    home: Store,
    data: PreparedData,
    candidates: Sequence[Candidate],
    systems: tuple[SystemRow, ...],
) -> Bundle:
    name, before = command.name or parent.manifest.model, chosen.bundle.manifest.draft()
    gain = {"speedup": chosen.speedup} if chosen.speedup else {}
    draft = before.model_copy(
        update={
            "recipe": command.model_dump(mode="json") | {"origin": dict(origin_of(parent))},
            "recipe_digest": recipe_digest(command),
            "parents": (Parent(kind="version", name=parent.reference, digest=parent.digest),),
            "metrics": before.metrics | costs(chosen.change),
            "speed": before.speed | gain,
            "notes": (*before.notes, *(one.told() for one in candidates)),
        }
    )
    (metric,) = chosen.change.differences
    content = report_content(
        draft,
        model=name,
        recipe=command,
        metric=metric,
        data=data,
        systems=systems,
        conditions=conditions(command.measure),
        comparison=Comparison(baseline=parent.reference, candidate=chosen.name, result=chosen.change),
    )
    with home.stage(name) as staging:
        for folder in ("checkpoint", "engine", "evidence"):
            if (chosen.bundle.path / folder).is_dir():
                shutil.copytree(chosen.bundle.path / folder, staging.path / folder, dirs_exist_ok=True)
        write_report(staging.path / "report.html", content)
        (staging.path / "recipe.yaml").write_text(content.recipe_yaml, encoding="utf-8")
        (staging.path / "evidence" / "report.json").write_bytes(canonical_json(content.model_dump(mode="json")))
        return staging.publish(draft)
