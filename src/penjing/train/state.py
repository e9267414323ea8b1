"""The resumable state of a run: written whole or not at all, and only ever read back by the same run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from penjing.core.errors import UsageError
from penjing.core.files import STAGING_PREFIX, cannot_write, canonical_json, sha256_file, staged_directory
from penjing.core.progress import Progress
from penjing.models.weights import refused_writes_told
from penjing.train.optimiser import Optimiser
from penjing.train.parts import put_into, whole_of
from penjing.train.watch import Best, trainable

_PREFIX = "step-"
_FACTS, _WEIGHTS, _MOMENTS = "state.json", "weights.safetensors", "optimiser.safetensors"
_BEST, _AVERAGE = "best.safetensors", "average.safetensors"


@dataclass(frozen=True, slots=True)
class RunState:
    """Where a run stands.

    Attributes:
        step: steps done.
        history: what the loop recorded so far, as plain data.
        best: the best look at the validation split; None where there was none.
        looks_since: looks after it.
        left_out: steps that gave no number.
        pass_tokens: tokens a forward pass; 0 for the recipe's.
        average: of the weights; empty where none is kept.
    """

    step: int
    history: list[dict[str, float]]
    best: Best | None = None
    looks_since: int = 0
    left_out: tuple[int, ...] = ()
    pass_tokens: int = 0
    average: Mapping[str, torch.Tensor] = field(default_factory=dict)


class StateDirectory:
    """Keeps the newest state of one run.

    Args:
        path: made if absent.
        run_id: digest of everything that defines the run; a state of another run is refused.
    """

    def __init__(self, path: Path, *, run_id: str) -> None:
        self.path, self._run_id = path, run_id

    def save(self, state: RunState, model: nn.Module, optimiser: Optimiser, *, writes: bool = True) -> None:
        """Write a state beside the former one, then drop the former.

        Args:
            state: where the run stands.
            model: what is trained.
            optimiser: what is kept of its weights.
            writes: False of a process that only gives its part of what another writes.

        Raises:
            ResourceError: the disk refused it; the former state stays.
        """
        target = self.path / f"{_PREFIX}{state.step:09d}"
        tensors = _tensors(state, model, optimiser, kept=writes)
        if not writes or target.exists():
            return
        former = self._states()
        try:
            with staged_directory(target) as beside, refused_writes_told(target):
                _write(beside, state, tensors, run_id=self._run_id)
        except FileExistsError:
            return  # the same run, started twice: its state is the same
        except OSError as error:
            raise cannot_write(target, error) from error
        for old in former:
            shutil.rmtree(old, ignore_errors=True)

    def restore(self, model: nn.Module, optimiser: Optimiser, progress: Progress) -> RunState | None:
        """Load the newest readable state into model and optimiser; None where there is none.

        Raises:
            UsageError: the directory holds the state of another run.
        """
        for left in self.path.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)  # of a process killed while it saved
        for path in reversed(self._states()):
            try:
                run_id, state, weights, moments = _read(path)
            except Exception as error:  # noqa: BLE001  (safetensors has its own error type; any unreadable state is skipped)
                progress.say(
                    f"The state {path.name} cannot be read ({error}); trying an earlier one, else beginning anew."
                )
                continue
            self._refuse_other_run(run_id)
            put_into(model, weights)
            optimiser.load(moments)
            return state
        return None

    def _states(self) -> list[Path]:
        return sorted(self.path.glob(f"{_PREFIX}*")) if self.path.is_dir() else []

    def _refuse_other_run(self, run_id: str) -> None:
        if run_id != self._run_id:
            raise UsageError(
                f"{self.path} holds the state of a run with other data or another recipe",
                expected="the state of this run",
                do="Remove the directory or name another one.",
            )


def _read(path: Path) -> tuple[str, RunState, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Run, state, weights and moments, if the files are as they were written."""
    facts = json.loads((path / _FACTS).read_bytes())
    for name, recorded in facts["files"].items():
        if sha256_file(path / name) != recorded:
            raise ValueError(f"{name} has changed")
    best = facts["best"]
    if best is not None:
        kept = load_file(path / _BEST) if _BEST in facts["files"] else {}
        best = Best(int(best["step"]), float(best["loss"]), kept)
    state = RunState(
        int(facts["step"]),
        list(facts["history"]),
        best,
        int(facts["looks_since"]),
        left_out=tuple(int(step) for step in facts["left_out"]),
        pass_tokens=int(facts["pass_tokens"]),
        average=load_file(path / _AVERAGE) if _AVERAGE in facts["files"] else {},
    )
    return facts["run_id"], state, load_file(path / _WEIGHTS), load_file(path / _MOMENTS)


def _tensors(
    state: RunState, model: nn.Module, optimiser: Optimiser, *, kept: bool
) -> dict[str, dict[str, torch.Tensor]]:
    """By file and name, whole; no tensors where they are not kept."""
    found = {_WEIGHTS: trainable(model), _MOMENTS: optimiser.moments()}
    if state.best is not None and state.best.weights:
        found[_BEST] = dict(state.best.weights)
    if state.average:
        found[_AVERAGE] = dict(state.average)
    return {name: whole_of(named, kept=kept) for name, named in found.items()}


def _write(beside: Path, state: RunState, tensors: Mapping[str, dict[str, torch.Tensor]], *, run_id: str) -> None:
    for name, named in tensors.items():
        save_file(named, beside / name)
    facts = {
        "run_id": run_id,
        "step": state.step,
        "history": state.history,
        "best": None if state.best is None else {"step": state.best.step, "loss": state.best.loss},
        "looks_since": state.looks_since,
        "left_out": list(state.left_out),
        "pass_tokens": state.pass_tokens,
        "files": {name: sha256_file(beside / name) for name in tensors},
    }
    (beside / _FACTS).write_bytes(canonical_json(facts))
