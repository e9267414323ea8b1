"""``penjing search``: many short fine-tunings, and the recipe of the best of them.

A trial is judged on the validation split by the measure that gates go by; the test split is not looked at. What is
written: ``best.yaml``, a recipe for ``penjing finetune``; ``trials.json``; ``search.html``; and the trials themselves,
from which the same command goes on after a kill.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from penjing.app.prepared import PreparedData
from penjing.app.recipes import FinetuneRecipe, as_yaml
from penjing.app.search_recipe import SearchRecipe
from penjing.app.tasks import TextSettings, flow_of, prepare
from penjing.app.trials import Trial, TrialRow, Trials
from penjing.core.errors import PenjingError, UsageError
from penjing.core.files import canonical_json, write_atomically
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.evaluate.search_page import TrialPoint, write_search_page
from penjing.models.checkpoint import Checkpoint, find_checkpoint

_HELD_OUT = 0.1
_FAILURES_AT_ONCE = 5


@dataclass(frozen=True, slots=True)
class Searched:
    """What came of it.

    Attributes:
        best: the best trial.
        recipe: its fine-tuning recipe.
        rows: every trial, in order.
        metric: what is made large.
        folder: where all of it lies.
    """

    best: TrialRow
    recipe: FinetuneRecipe
    rows: list[TrialRow]
    metric: str
    folder: Path


def search(recipe: SearchRecipe, *, to: Path, progress: Progress = SILENT) -> Searched:
    """Try values of some keys of a fine-tuning recipe until the budget is spent.

    Killed at any point and called again with the same recipe, it goes on; with more minutes or trials, too.

    Args:
        recipe: what to fine-tune, what varies, how long.
        to: directory of the search.
        progress: where to show it.

    Raises:
        UsageError: ``to`` holds another search, or no trial came to its end.
    """
    checkpoint, trials = find_checkpoint(recipe.model), Trials(to, recipe)
    course = _Course(recipe, checkpoint, trials, progress)
    while course.goes_on():
        course.one()
        _write(course)
    found = _write(course)
    if found is None:
        rows = trials.rows()
        failed = next((row.reason for row in rows if row.reason), "none was begun")
        raise UsageError(
            f"no trial of {len(rows)} came to its end; the first: {failed}",
            expected="values that the model and the data allow",
            do="Narrow search.space, or give it more minutes.",
        )
    return found


class _Course:
    """A search under way."""

    def __init__(self, recipe: SearchRecipe, checkpoint: Checkpoint, trials: Trials, progress: Progress) -> None:
        self.recipe, self.trials = recipe, trials
        self._checkpoint, self._progress = checkpoint, progress
        self._prepared: dict[int, PreparedData] = {}

    def goes_on(self) -> bool:
        """Whether there is budget for another trial."""
        told, rows = self.recipe.search, self.trials.rows()
        in_vain = len(rows) >= _FAILURES_AT_ONCE and all(row.ended == "failed" for row in rows)
        return len(rows) < told.trials and not self._is_late() and not in_vain

    def one(self) -> None:
        """Carry out the next trial."""
        trial = self.trials.ask()
        shown = ", ".join(f"{key.rpartition('.')[2]} {short(value)}" for key, value in trial.values.items())
        self._progress.say(f"Trial {trial.number + 1}: {shown}")
        begun = time.monotonic()
        try:
            known = self.trials.done_with(trial.values)
            value = known.value if known else self._run(trial, begun)
        except PenjingError as error:
            trial.fail(str(error), seconds=time.monotonic() - begun)
            self._progress.say(f"  failed: {error}")
            return
        if value is None:
            trial.give_up(seconds=time.monotonic() - begun)
            self._progress.say("  given up")
            return
        trial.end(value, seconds=time.monotonic() - begun)
        self._progress.say(f"  {self.trials.metric} {value:.4f}")

    def _run(self, trial: Trial, begun: float) -> float | None:
        """The value of a trial; None where it was given up."""
        from penjing.app.trying import try_recipe  # only now: it loads torch

        told = self._looked_at(self.recipe.with_values(trial.values))
        states = self.trials.folder / "runs" / recipe_digest(told)[:16]

        def looked(share: float, loss: float) -> bool:
            behind = trial.look(share, -loss, seconds=time.monotonic() - begun)
            return share < 1 and (behind or (self._is_late() and self._has_one_done()))

        data = self._data(told)
        found = try_recipe(told, self._checkpoint, data, states=states, looked=looked, progress=self._progress)
        shutil.rmtree(states, ignore_errors=True)
        if found is None:
            return None
        self.trials.name_metric(found.metric)
        return found.value

    def _looked_at(self, told: FinetuneRecipe) -> FinetuneRecipe:
        """A trial's recipe: with looks at the validation split, which is held out where none is given."""
        data, training = told.data, told.training
        if data.validation is None and data.validation_fraction is None:
            data = data.model_copy(update={"validation_fraction": _HELD_OUT})
        training = training.model_copy(update={"validate_every": training.epochs / self.recipe.search.looks})
        return told.model_copy(update={"training": training, "data": data})

    def _is_late(self) -> bool:
        minutes = self.recipe.search.minutes
        return minutes is not None and self.trials.seconds >= minutes * 60

    def _has_one_done(self) -> bool:
        return any(row.ended == "done" for row in self.trials.rows())

    def _data(self, told: FinetuneRecipe) -> PreparedData:
        """The data in tokens; kept for the next trial with texts as long."""
        longest = told.text.max_tokens
        if longest not in self._prepared:
            settings = TextSettings(self._checkpoint.tokenizer, longest, told.text.overlap)
            flow = flow_of(told.task, told.problem)
            data = prepare(told.data, flow, settings, seed=told.seed, progress=self._progress)
            flow.refuse_unteachable(data.train)
            self._prepared = {longest: data}
        return self._prepared[longest]


def _write(course: _Course) -> Searched | None:
    """Write all that is known so far; None before a trial came to its end."""
    trials, recipe, rows = course.trials, course.recipe, course.trials.rows()
    write_atomically(trials.folder / "trials.json", canonical_json([asdict(row) for row in rows]))
    done = [row for row in rows if row.ended == "done" and row.value is not None]
    if not done:
        return None
    best = max(done, key=lambda row: (row.value or 0.0, -row.number))
    told = recipe.with_values(best.values)
    write_atomically(trials.folder / "best.yaml", as_yaml(told).encode())
    points = [
        TrialPoint(row.number + 1, row.ended, row.value if row.ended == "done" else None, row.seconds, row.values)
        for row in rows
    ]
    write_search_page(trials.folder / "search.html", points, title=recipe.name, metric=trials.metric)
    return Searched(best, told, rows, trials.metric, trials.folder)


def short(value: object) -> str:
    """A value of a key, in few signs."""
    return f"{value:.3g}" if isinstance(value, float) else "null" if value is None else str(value)
