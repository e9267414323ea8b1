"""``penjing compress``: what may be lost and gained in, the fastest version that keeps both out, or a refusal.

The rungs of the ladder (:mod:`penjing.app.ladder`) are made in a workshop beside the store. All are judged on the whole
test split, text by text against the model, and measured through the server, in turns with it, so that the whole front
is told. The fastest whose interval keeps the contract is registered, and no other.

Trade: rungs are made before anything is known of their speed; nothing is left out of the ladder early.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penjing.app.comparing import answers_of
from penjing.app.compressed import Candidate, Shown, low, publish_chosen
from penjing.app.evidence import system_rows
from penjing.app.judging import compare
from penjing.app.ladder import climb, rungs_of
from penjing.app.measure import measure, served, trial_server, trial_texts
from penjing.app.origin import prepare_for
from penjing.app.prepared import PreparedData
from penjing.app.smaller_recipes import CompressCommand
from penjing.app.tasks import flow_of
from penjing.core.errors import GateRefusal
from penjing.core.files import digest
from penjing.core.nouns import Measurement
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.evaluate import Change, SystemRow
from penjing.store import Bundle, Store, parse_reference


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

    Killed at any point and called again with the same recipe, it goes on where it was.

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
    rungs = rungs_of(command, parent, data, workshop=workshop, progress=progress)
    made, without = climb(rungs, workshop, progress)
    changes = _changes(parent, made, data, progress)
    ratios, systems = _timed(command, parent, made, data, changes=changes, progress=progress)
    candidates = [
        Candidate(name, bundle, changes[name], ratio)
        for (name, bundle), ratio in zip(made.items(), ratios, strict=True)
    ]
    kept = [one for one in candidates if _keeps(command, one)]
    if not kept:
        _refuse(command, parent, candidates, without, home=home)
    chosen = max(kept, key=lambda one: one.speedup.value)
    shown = Shown(data, systems, (*(one.told() for one in candidates), *without))
    bundle = publish_chosen(command, parent, chosen, home=home, shown=shown, progress=progress)
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


def _changes(parent: Bundle, made: dict[str, Bundle], data: PreparedData, progress: Progress) -> dict[str, Change]:
    """Each candidate against the model, on the whole test split."""
    before = answers_of(parent, data.test, progress)
    found = {}
    for name, bundle in made.items():
        after = answers_of(bundle, prepare_for(bundle, SILENT).test, progress)
        found[name] = compare(bundle.manifest, before, after, data.test)
    return found


def _timed(
    command: CompressCommand,
    parent: Bundle,
    made: dict[str, Bundle],
    data: PreparedData,
    *,
    changes: dict[str, Change],
    progress: Progress,
) -> tuple[list[Measurement], tuple[SystemRow, ...]]:
    """How many times as fast as the model each candidate is, and the table with the model in its first row."""
    texts, tokens = trial_texts(data.test, flow_of(parent.manifest.task, parent.manifest.problem_type))
    versions = {parent.reference: parent} | made
    with trial_server([(one.path, one.manifest.draft()) for one in versions.values()], model="trial") as url:
        systems = [
            served(name, url, f"/v1/models/trial/versions/{at}:predict", clients=command.measure.clients)
            for at, name in enumerate(versions, start=1)
        ]
        speeds = measure(systems, texts, tokens, recipe=command.measure, progress=progress)
    (metric,) = next(iter(changes.values())).differences
    quality = [one.manifest.metrics.get(metric) for one in versions.values()]
    rows = system_rows(speeds, quality, [one.manifest.engine_bytes for one in versions.values()])
    return [speed.ratio_to(speeds[0]) for speed in speeds[1:]], rows


def _keeps(command: CompressCommand, one: Candidate) -> bool:
    small = command.max_mb is None or one.megabytes <= command.max_mb
    return small and low(one.lost) >= -command.max_drop and low(one.speedup) >= command.min_speedup


def _refuse(
    command: CompressCommand, parent: Bundle, candidates: Sequence[Candidate], without: Sequence[str], *, home: Store
) -> None:
    lines = [*(one.told() for one in sorted(candidates, key=lambda one: -low(one.lost))), *without]
    home.ledger.append("refused", parent.reference, {"form": "compressed", "reasons": lines})
    size = "" if command.max_mb is None else f", at most {command.max_mb:g} MB"
    raise GateRefusal(
        f"no smaller form of {parent.reference} keeps the contract. Difference [lower end], size and speed of each:\n  "
        + "\n  ".join(lines),
        expected=f"a loss of at most {command.max_drop:g} and {command.min_speedup:g} times the speed{size}, "
        "each by the lower end of its interval",
        do="Ask for less, try other layers, train longer, or measure on more test texts.",
    )
