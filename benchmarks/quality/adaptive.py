"""Does guessing masked words of a field's own texts, without labels, help a fine-tuning with few labels after it?

The base goes on as a masked language model over all training texts of a set (``penjing pretrain``), and is then taught
with a few labelled rows of each class; beside it the same rows teach the base as it is. Both take the same steps at the
same rate, for several draws of the rows. Settings are looked at on validation rows (``--on validation``) alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from run import _mean as mean_of
from run import judged, ours
from sets import SETS

import penjing
from penjing.app.prepared import PreparedData
from penjing.app.pretrain_recipe import PretrainRecipe
from penjing.app.recipes import TextRecipe
from penjing.app.tasks import Judgement, TextSettings, flow_of, prepare
from penjing.core.progress import SILENT
from penjing.data.corpus import CorpusRecipe
from penjing.models.checkpoint import Checkpoint, inspect_checkpoint
from penjing.store import Store
from penjing.train.recipe import TrainingRecipe, resolve_precision
from result import SystemResult, finish

PLAIN, ADAPTED = "base", "base, after its field's texts"


def adapted(name: str, data: PreparedData, base: Checkpoint, told: argparse.Namespace) -> Checkpoint:
    """The base after its field's texts: those of the training split, without their labels."""
    folder = told.work / f"adaptive-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    texts = folder / "texts.jsonl"
    rows = (json.dumps({"text": one.texts[0]}, ensure_ascii=False) + "\n" for one in data.train.split.examples)
    texts.write_text("".join(rows), encoding="utf-8")
    recipe = PretrainRecipe(
        name=f"adapted-{told.epochs:g}-{told.rate:g}".replace(".", "-"), objective="mlm", model=str(base.path),
        data=CorpusRecipe(train=str(texts)), text=TextRecipe(max_tokens=64),
        training=TrainingRecipe(epochs=told.epochs, batch_size=64, learning_rate=told.rate, threads=told.threads),
    )  # fmt: skip
    home = Store(folder / "store")
    if recipe.name not in home.models():
        made = penjing.pretrain(recipe, store=folder / "store")
        figures = made.judgement.result.metrics
        print(f"perplexity at masks {made.before.result.metrics['perplexity']} → {figures['perplexity']}", flush=True)
    return inspect_checkpoint(home.bundle(recipe.name).path / "checkpoint")


def few(data: PreparedData, count: int, *, seed: int) -> PreparedData:
    """The same data with as many training rows of each label, drawn by seed."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row in np.random.default_rng(seed).permutation(len(data.train.sequences)).tolist():
        rows[int(data.train.targets[row])].append(row)
    kept = sorted(row for own in rows.values() for row in own[:count])
    part = data.train
    split = replace(part.split, examples=[part.split.examples[row] for row in kept])
    sequences, targets = [part.sequences[row] for row in kept], np.asarray(part.targets)[kept]
    return replace(data, train=replace(part, split=split, sequences=sequences, targets=targets))


def measure(name: str, told: argparse.Namespace) -> None:
    """Both ways for each draw, and the difference pair by pair."""
    one = SETS[name]
    base, flow = inspect_checkpoint(told.weights / one.model), flow_of(one.task)
    scratch = told.work / "rows"
    scratch.mkdir(parents=True, exist_ok=True)
    source = one.data(told.data, scratch)
    if source.validation is None:
        source = source.model_copy(update={"validation_fraction": 0.1})
    data = prepare(source, flow, TextSettings(base.tokenizer, one.max_tokens, 16), seed=42, progress=SILENT)
    if told.on == "validation" and data.validation:
        data = replace(data, test=data.validation)
    recipe = TrainingRecipe(epochs=told.steps, batch_size=16, learning_rate=2e-4, threads=told.threads)
    starts = {PLAIN: base, ADAPTED: adapted(name, data, base, told)}
    found: dict[str, list[Judgement]] = {PLAIN: [], ADAPTED: []}
    for seed in told.seeds:
        rows = few(data, told.labels, seed=seed)
        for way, start in starts.items():
            found[way].append(judged(ours(rows, start, recipe, task=one.task, seed=seed), rows, one.task))
            value = found[way][-1].result.metrics[found[way][-1].metric]
            print(f"{name}  seed {seed}  {way:<30} {value}", flush=True)
    if told.on == "test":
        _write(name, found, data, told, recipe)


def _write(
    name: str, found: dict[str, list[Judgement]], data: PreparedData, told: argparse.Namespace, recipe: TrainingRecipe
) -> None:
    flow, metric = flow_of(SETS[name].task), found[PLAIN][0].metric
    gained = [
        flow.compare(plain.predictions, other.predictions, part=data.test, outputs=data.outputs).differences[metric]
        for plain, other in zip(found[PLAIN], found[ADAPTED], strict=True)
    ]
    systems = [
        SystemResult(
            name=way,
            ours=True,
            quality={metric: mean_of([one.result.metrics[metric] for one in own])}
            | ({"difference": mean_of(gained)} if way == ADAPTED else {}),
        )
        for way, own in found.items()
    ]
    finish(
        "quality",
        f"{SETS[name].title}, {told.labels} labelled rows a class",
        config={
            "table": "adaptive", "metric": metric, "model": SETS[name].model, "seeds": told.seeds,
            "texts": len(data.train.sequences), "tokens": data.train.tokens, "test_rows": data.test.split.rows,
            "pretraining": {"epochs": told.epochs, "learning_rate": told.rate, "batch_size": 64, "masks": 0.15},
            "training": recipe.model_dump(mode="json"), "precision": resolve_precision(recipe.precision),
        },
        systems=systems,
    )  # fmt: skip


def main() -> None:
    """Measure some sets."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, help="folder of the sets, each in a folder of its name")
    options.add_argument("weights", type=Path, help="folder of the pretrained checkpoints")
    options.add_argument("work", type=Path, help="where what was made stays; a run that was killed goes on there")
    options.add_argument("--sets", nargs="+", choices=list(SETS), default=["banking77"])
    options.add_argument("--labels", type=int, default=8, help="rows of each class")
    options.add_argument("--epochs", type=float, default=3, help="over the texts without labels")
    options.add_argument("--rate", type=float, default=1e-4, help="of learning on them")
    options.add_argument("--steps", type=float, default=15, help="epochs over the labelled rows")
    options.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    options.add_argument("--on", choices=("validation", "test"), default="test")
    options.add_argument("--threads", type=int)
    told = options.parse_args()
    warnings.simplefilter("ignore")
    if told.threads:
        torch.set_num_threads(told.threads)
    for name in told.sets:
        measure(name, told)


if __name__ == "__main__":
    main()
