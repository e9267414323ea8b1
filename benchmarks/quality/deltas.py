"""What is left of two tasks when what fine-tuning added for each is summed over one base, scaled, and taken away?

Two classifiers of one base are taught with all weights, SST-2 and banking77. Their deltas are summed below the heads,
and each head is asked on its own test split; then one is taken away again, and the other way round. ``rates`` teaches
the second at several rates and judges each on rows that nothing else sees, as the fair rate of a table wants.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from run import judged, ours
from sets import SETS

import penjing
from penjing.app.prepared import PreparedData
from penjing.app.tasks import Judgement, TextSettings, flow_of, prepare
from penjing.core.nouns import Task
from penjing.core.progress import SILENT
from penjing.models.checkpoint import Checkpoint, inspect_checkpoint
from penjing.models.loading import load_model, save_checkpoint
from penjing.train.recipe import TrainingRecipe
from result import SystemResult, finish

TASK, FLOW = Task.TEXT_CLASSIFICATION, flow_of(Task.TEXT_CLASSIFICATION)
NAMES = ("sst2", "banking77")


def data_of(name: str, folder: Path, base: Checkpoint, work: Path, *, rows: int) -> PreparedData:
    """A set's rows, as many as are taught, and a quarter of that asked."""
    scratch = work / "rows"
    scratch.mkdir(parents=True, exist_ok=True)
    recipe = SETS[name].data(folder, scratch)
    fewer = recipe.model_copy(
        update={
            "limit_train_rows": rows, "limit_eval_rows": rows // 4,
            "validation": None, "validation_fraction": 0.1,
        }
    )  # fmt: skip
    return prepare(fewer, FLOW, TextSettings(base.tokenizer, 64, 0), seed=42, progress=SILENT)


def taught(name: str, data: PreparedData, base: Checkpoint, recipe: TrainingRecipe, *, seed: int, work: Path) -> Path:
    """The checkpoint of a task, taught when it is first wanted."""
    target = work / f"{name}-{seed}"
    if not target.is_dir():
        save_checkpoint(ours(data, base, recipe, task=TASK, seed=seed), base.path, target)
    return target


def arithmetic(folder: Path, base: Checkpoint, recipe: TrainingRecipe, *, rows: int, seed: int, work: Path) -> None:
    """Sums and differences, each judged by both heads."""
    data = {name: data_of(name, folder, base, work, rows=rows) for name in NAMES}
    deltas: dict[str, str] = {}
    for name in NAMES:
        tuned, at = taught(name, data[name], base, recipe, seed=seed, work=work), work / f"{name}-{seed}-delta"
        if not at.is_dir():
            penjing.delta.extract(str(tuned), base=str(base.path), to=at)
        deltas[name] = str(at)
    for own, other in (NAMES, NAMES[::-1]):
        _ask(own, data[own], [deltas[own], deltas[other]], base, seed=seed, work=work, other=other)


def _ask(
    own: str, data: PreparedData, deltas: list[str], base: Checkpoint, *, seed: int, work: Path, other: str
) -> None:
    """One task's test split, asked of all that its delta was made into."""
    made: dict[str, Callable[[Path], object]] = {
        "alone": lambda to: penjing.delta.scale(deltas[0], by=1, to=to),
        "sum of both": lambda to: penjing.delta.add(deltas, to=to, first_head=True),
        "mean of both": lambda to: penjing.delta.merge(deltas, to=to, first_head=True),
        "ties of both": lambda to: penjing.delta.merge(deltas, rule="ties", to=to, first_head=True),
        "sum, the other taken away": lambda to: _without(deltas, to),
        "the other one's encoder": lambda to: _without(deltas, to, keep=1),
        "taken away from the base": lambda to: penjing.delta.scale(deltas[0], by=-1, to=to),
    }
    found: dict[str, Judgement] = {}
    for name, make in made.items():
        at = work / f"{own}-{seed}-{name.replace(' ', '-').replace(',', '')}"
        if not at.is_dir():
            make(at)
            penjing.delta.apply(str(at), to=Path(f"{at}-whole"))
        found[name] = judged(load_model(inspect_checkpoint(Path(f"{at}-whole"))), data, TASK)
        print(f"{own}  {name}  {found[name].result.metrics['accuracy']}", flush=True)
    title = f"{own}, beside {other}"
    _write(title, found, data, config={"table": "deltas", "metric": "accuracy", "seed": seed, "model": base.path.name})


def _without(deltas: list[str], to: Path, *, keep: int = 0) -> object:
    """The sum of both less one of them; ``keep`` says which is left. The head stays the first one's."""
    both = to.with_name(f"{to.name}-both")
    if not both.is_dir():
        penjing.delta.add(deltas, to=both, first_head=True)
    return penjing.delta.subtract(str(both), [deltas[1 - keep]], to=to, first_head=True)


def _write(title: str, found: dict[str, Judgement], data: PreparedData, *, config: dict[str, Any]) -> None:
    first, systems = next(iter(found.values())), []
    for name, one in found.items():
        quality = {"accuracy": one.result.metrics["accuracy"]}
        if one is not first:
            change = FLOW.compare(first.predictions, one.predictions, part=data.test, outputs=data.outputs)
            quality |= {"difference": change.differences["accuracy"]}
        systems.append(SystemResult(name=name, ours=True, quality=quality))
    rows = {"train_rows": data.train.split.rows, "test_rows": data.test.split.rows}
    finish("quality", title, config=config | rows, systems=systems)


def rates(
    folder: Path, base: Checkpoint, recipe: TrainingRecipe, told: list[float], *, rows: int, seed: int, work: Path
) -> None:
    """Accuracy of all weights taught at each rate, on the validation split; on the test split where it is the best."""
    data = data_of("banking77", folder, base, work, rows=rows)
    assert data.validation is not None
    looked_at, best = replace(data, test=data.validation), (0.0, 0.0)
    for rate in told:
        model = ours(data, base, recipe.model_copy(update={"learning_rate": rate}), task=TASK, seed=seed)
        value = judged(model, looked_at, TASK).result.metrics["accuracy"]
        test = judged(model, data, TASK).result.metrics["accuracy"] if value.value > best[0] else None
        best = max(best, (value.value, rate))
        print(f"rate {rate:g}: validation {value}, test {test or 'not asked'}", flush=True)


def main() -> None:
    """Measure one of the two."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=("arithmetic", "rates"))
    options.add_argument("data", type=Path, help="folder of the sets, each in a folder of its name")
    options.add_argument("weights", type=Path, help="folder of the pretrained checkpoints")
    options.add_argument("work", type=Path, help="where what was made stays; a run that was killed goes on there")
    options.add_argument("--rates", type=float, nargs="+", default=[2e-4, 5e-4, 1e-3])
    options.add_argument("--rows", type=int, default=4000, help="to teach, of each set; a quarter of it is asked")
    options.add_argument("--seed", type=int, default=42)
    options.add_argument("--threads", type=int)
    told = options.parse_args()
    warnings.simplefilter("ignore")
    if told.threads:
        torch.set_num_threads(told.threads)
    base = inspect_checkpoint(told.weights / "all-MiniLM-L6-v2")
    recipe = TrainingRecipe(epochs=3, batch_size=32, learning_rate=2e-4, threads=told.threads)
    work = told.work / f"deltas-{told.rows}"
    if told.what == "arithmetic":
        arithmetic(told.data, base, recipe, rows=told.rows, seed=told.seed, work=work)
    else:
        rates(told.data, base, recipe, told.rates, rows=told.rows, seed=told.seed, work=work)


if __name__ == "__main__":
    main()
