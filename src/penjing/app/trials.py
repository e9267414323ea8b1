"""The trials of a search, kept in a file by Optuna: what was tried, what came of it, what to try next.

Promise: a search that was killed goes on. Its unfinished trial is begun again with the same values, and its
training at the last state that was saved. Seconds are counted by each trial itself, so that time between a kill
and the next start costs nothing of the budget.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from penjing.app.search_recipe import WHOLE, Scalar, SearchRecipe, Span
from penjing.core.errors import UsageError
from penjing.core.extras import require
from penjing.core.recipe import recipe_digest

_FILE, _STUDY = "search.journal", "search"
Ended = Literal["done", "given up", "failed", "running"]


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A trial that was begun.

    Attributes:
        number: from 0.
        ended: how.
        value: what is made large; of one that did not come to its end, minus the loss at its last look.
        seconds: that it took.
        values: recipe key → value.
        reason: why it failed.
    """

    number: int
    ended: Ended
    value: float | None
    seconds: float
    values: dict[str, Scalar]
    reason: str = ""


class Trials:
    """The trials in a directory.

    Args:
        folder: made if absent.
        recipe: what is searched; a directory of another one is refused.

    Raises:
        UsageError: the directory holds another search.
        ResourceError: Optuna is not installed (extra ``search``).
    """

    def __init__(self, folder: Path, recipe: SearchRecipe) -> None:
        self._optuna = require("optuna", extra="search")
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        self.folder, self._recipe = folder, recipe
        folder.mkdir(parents=True, exist_ok=True)
        journal = require("optuna.storages.journal", extra="search")
        storage = self._optuna.storages.JournalStorage(journal.JournalFileBackend(str(folder / _FILE)))
        self._study = self._optuna.create_study(
            storage=storage, study_name=_STUDY, direction="maximize", load_if_exists=True
        )
        self._refuse_other_search()
        self._study.sampler, self._study.pruner = self._sampler(), self._pruner()
        self._begin_killed_again()

    def ask(self) -> Trial:
        """The next trial."""
        trial = self._study.ask()
        space = sorted(self._recipe.search.space.items())
        values: dict[str, Scalar] = {key: self._suggest(trial, key, given) for key, given in space}
        return Trial(trial, self._study, values)

    def rows(self) -> list[TrialRow]:
        """Every trial that was begun, in order."""
        return list(self._rows())

    @property
    def metric(self) -> str:
        """What is made large; empty before the first trial came to its end."""
        return str(self._study.user_attrs.get("metric", ""))

    def name_metric(self, name: str) -> None:
        """Keep the name of what is made large."""
        if name != self.metric:
            self._study.set_user_attr("metric", name)

    @property
    def seconds(self) -> float:
        """Of all trials together."""
        return sum(row.seconds for row in self._rows())

    def done_with(self, values: dict[str, Scalar]) -> TrialRow | None:
        """A trial of the same values that came to its end."""
        return next((row for row in self._rows() if row.ended == "done" and row.values == values), None)

    def _rows(self) -> Iterator[TrialRow]:
        state = self._optuna.trial.TrialState
        names: dict[Any, Ended] = {state.COMPLETE: "done", state.PRUNED: "given up", state.FAIL: "failed"}
        for trial in self._study.get_trials(deepcopy=False):
            kept = trial.user_attrs
            if trial.state == state.WAITING or (trial.state == state.FAIL and "reason" not in kept):
                continue  # not begun, or killed and begun again under another number
            last = trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None
            value = trial.value if trial.state == state.COMPLETE else last
            yield TrialRow(
                trial.number,
                names.get(trial.state, "running"),
                value,
                float(kept.get("seconds", 0.0)),
                dict(trial.params),
                str(kept.get("reason", "")),
            )

    def _suggest(self, trial: Any, key: str, given: Any) -> Scalar:
        if not isinstance(given, Span):
            return trial.suggest_categorical(key, list(given.choices))  # type: ignore[no-any-return]
        if key in WHOLE:
            return int(
                trial.suggest_int(key, int(given.low), int(given.high), step=int(given.step or 1), log=given.log)
            )
        return float(trial.suggest_float(key, given.low, given.high, step=given.step, log=given.log))

    def _sampler(self) -> Any:
        # The sampler's own random state is not kept: from the same seed it would draw the same trials again.
        seed = self._recipe.seed + len(self._study.get_trials(deepcopy=False))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some of it may change
            return self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=self._recipe.search.startup)

    def _pruner(self) -> Any:
        if not self._recipe.search.prune:
            return self._optuna.pruners.NopPruner()
        return self._optuna.pruners.MedianPruner(n_startup_trials=self._recipe.search.startup)

    def _refuse_other_search(self) -> None:
        unbounded = self._recipe.search.model_copy(update={"minutes": None, "trials": 1})  # a budget may be raised
        told = recipe_digest(self._recipe.model_copy(update={"search": unbounded}))
        known = self._study.user_attrs.get("recipe")
        if known is None:
            self._study.set_user_attr("recipe", told)
        elif known != told:
            raise UsageError(
                f"{self.folder} holds the trials of another search",
                expected="the same recipe (minutes and trials apart)",
                do="Name another directory with --to, or remove this one.",
            )

    def _begin_killed_again(self) -> None:
        state = self._optuna.trial.TrialState
        for trial in self._study.get_trials(states=(state.RUNNING,)):
            self._study.tell(trial.number, state=state.FAIL)
            if len(trial.params) == len(self._recipe.search.space):
                self._study.enqueue_trial(trial.params, user_attrs={"seconds": trial.user_attrs.get("seconds", 0.0)})


class Trial:
    """A trial that goes on.

    Attributes:
        values: recipe key → value.
    """

    def __init__(self, trial: Any, study: Any, values: dict[str, Scalar]) -> None:
        self._trial, self._study, self.values = trial, study, values
        self.seconds_before = float(trial.user_attrs.get("seconds", 0.0))

    @property
    def number(self) -> int:
        """From 0."""
        return int(self._trial.number)

    def look(self, share: float, value: float, *, seconds: float) -> bool:
        """Note a look after some share of the way; whether the trial should be given up."""
        self._trial.report(value, step=round(100 * share))
        self._trial.set_user_attr("seconds", self.seconds_before + seconds)
        return bool(self._trial.should_prune())

    def end(self, value: float, *, seconds: float) -> None:
        """It came to its end."""
        self._trial.set_user_attr("seconds", self.seconds_before + seconds)
        self._study.tell(self._trial, value)

    def give_up(self, *, seconds: float) -> None:
        """It was not worth going on."""
        self._close("PRUNED", seconds=seconds, reason="")

    def fail(self, reason: str, *, seconds: float) -> None:
        """It could not be carried out."""
        self._close("FAIL", seconds=seconds, reason=reason)

    def _close(self, state: str, *, seconds: float, reason: str) -> None:
        self._trial.set_user_attr("seconds", self.seconds_before + seconds)
        if reason:
            self._trial.set_user_attr("reason", reason)
        self._study.tell(self._trial, state=getattr(require("optuna", extra="search").trial.TrialState, state))
