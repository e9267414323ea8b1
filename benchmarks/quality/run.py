"""Is what is learnt here as good as what Transformers' Trainer learns from the same weights and rows?

Both sides train on the same tokens, for the same steps, at the same rate and schedule, from the same seed, in the
precision that the processor multiplies natively; Trainer with dynamic padding and batches drawn at random, as its
examples draw them (batches of like length cost it quality). Both are judged by the same code on the whole test split,
and compared pair by pair. Nothing here is timed: see ``training``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1]))
from sets import SETS, LabelledSet

from penjing.app.prepared import PreparedData
from penjing.app.tasks import Judgement, TextSettings, flow_of, prepare
from penjing.core.machine import usable_cores
from penjing.core.nouns import Measurement, Task
from penjing.core.progress import SILENT
from penjing.models.checkpoint import Checkpoint, inspect_checkpoint
from penjing.models.loading import load_model
from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.models.quiet import quiet_transformers
from penjing.tokens import PackedBatch
from penjing.train.loop import train
from penjing.train.recipe import TrainingRecipe, resolve_precision
from penjing.train.training_set import TrainingSet
from result import SystemResult, finish

Side = Literal["Penjing", "Trainer"]


class TorchEngine:
    """A model in torch as the judges take engines; the packed pass equals Transformers' own (see tests/models)."""

    name, instances = "torch", 1

    def __init__(self, model: Any) -> None:
        self._encoder = PackedEncoder(model.eval())

    def run(self, batch: PackedBatch) -> npt.NDArray[np.float32]:
        """See :class:`penjing.engines.Engine`."""
        with torch.inference_mode():
            outputs: npt.NDArray[np.float32] = self._encoder(PackedTensors.of(batch)).float().numpy()
        return outputs

    def close(self) -> None:
        """Nothing to free."""


def ours(data: PreparedData, checkpoint: Checkpoint, recipe: TrainingRecipe, *, task: Task, seed: int) -> Any:
    """Our loop."""
    torch.manual_seed(seed)
    model = load_model(checkpoint, task, data.outputs)
    part = data.train
    taught = TrainingSet(part.sequences, part.targets, part.weights, together=part.together)
    settings = recipe.model_copy(update={"save_every_s": None})
    train(PackedEncoder(model), taught, flow_of(task).objective(part, recipe), recipe=settings, seed=seed)
    return model


def trainers(data: PreparedData, checkpoint: Checkpoint, recipe: TrainingRecipe, *, task: Task, seed: int) -> Any:
    """Transformers' Trainer, with its own loss and its own padded forward pass."""
    torch.set_num_threads(usable_cores())
    torch.manual_seed(seed)
    model = load_model(checkpoint, task, data.outputs)
    with quiet_transformers():
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.path)
    tagged = task is Task.TOKEN_CLASSIFICATION
    collator = (transformers.DataCollatorForTokenClassification if tagged else transformers.DataCollatorWithPadding)(
        tokenizer
    )
    rows = _rows(data, task)
    steps = -(-len(rows) // recipe.batch_size) * recipe.epochs
    with tempfile.TemporaryDirectory() as scratch:
        settings = transformers.TrainingArguments(
            output_dir=scratch, per_device_train_batch_size=recipe.batch_size, num_train_epochs=recipe.epochs,
            learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay, lr_scheduler_type="linear",
            warmup_steps=round(recipe.warmup_fraction * steps), max_grad_norm=recipe.clip_norm or 0.0, seed=seed,
            use_cpu=True, save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
            dataloader_pin_memory=False, bf16=resolve_precision(recipe.precision) == "bf16",
        )  # fmt: skip
        transformers.Trainer(model=model, args=settings, train_dataset=rows, data_collator=collator).train()
    return model


def _rows(data: PreparedData, task: Task) -> list[dict[str, Any]]:
    rows = []
    for sequence, target in zip(data.train.sequences, data.train.targets, strict=True):
        row: dict[str, Any] = {"input_ids": sequence.ids.tolist()}
        if task is Task.QUESTION_ANSWERING or sequence.type_ids is not None:
            types = np.zeros_like(sequence.ids) if sequence.type_ids is None else sequence.type_ids
            row["token_type_ids"] = types.tolist()
        if task is Task.QUESTION_ANSWERING:
            row |= {"start_positions": int(target[0]), "end_positions": int(target[1])}
        else:
            row |= {"labels": target.tolist()}
        rows.append(row)
    return rows


def judged(model: Any, data: PreparedData, task: Task) -> Judgement:
    """Scores on the test split."""
    flow, part, engine = flow_of(task), data.test, TorchEngine(model)
    decoding = flow.settings_of(data.train)
    if data.validation is not None and flow.wants_validation(data.train.split):
        decoding = decoding | flow.tune(engine, data.validation, data.outputs, decoding=decoding)
    return flow.judge(engine, part, data.outputs, decoding=decoding, name="judging", progress=SILENT)


def measure(one: LabelledSet, folder: Path, weights: Path, seeds: list[int]) -> None:
    """Teach and judge both sides, seed by seed, and write the result."""
    checkpoint, flow = inspect_checkpoint(weights / one.model), flow_of(one.task)
    text = TextSettings(checkpoint.tokenizer, one.max_tokens, stride=one.max_tokens // 4)
    told: dict[Side, list[Judgement]] = {"Trainer": [], "Penjing": []}
    with tempfile.TemporaryDirectory() as scratch:
        data = prepare(one.data(folder, Path(scratch)), flow, text, seed=42, progress=SILENT)
        for seed in seeds:
            for side, teach in (("Trainer", trainers), ("Penjing", ours)):
                judgement = judged(teach(data, checkpoint, one.training, task=one.task, seed=seed), data, one.task)
                told[side].append(judgement)
                value = judgement.result.metrics[judgement.metric].value
                print(f"{one.title}  seed {seed}  {side:<8} {judgement.metric} {value:.4f}", flush=True)
    _write(one, data, told, seeds)


def _write(one: LabelledSet, data: PreparedData, told: dict[Side, list[Judgement]], seeds: list[int]) -> None:
    metric = told["Penjing"][0].metric
    pairs = zip(told["Trainer"], told["Penjing"], strict=True)
    changes = [
        flow_of(one.task).compare(trainer.predictions, penjing.predictions, part=data.test, outputs=data.outputs)
        for trainer, penjing in pairs
    ]
    gained = [change.differences[metric] for change in changes]
    systems = [
        SystemResult(
            name=side,
            ours=side == "Penjing",
            quality={metric: _mean([judgement.result.metrics[metric] for judgement in judgements])}
            | ({"difference": _mean(gained)} if side == "Penjing" else {}),
        )
        for side, judgements in told.items()
    ]
    finish(
        "quality",
        one.title,
        config={
            "task": one.task.value, "metric": metric, "model": one.model, "seeds": seeds, "max_tokens": one.max_tokens,
            "train_rows": data.train.split.rows, "test_rows": data.test.split.rows,
            "training": one.training.model_dump(mode="json"), "precision": resolve_precision(one.training.precision),
            "transformers": transformers.__version__,
        },
        systems=systems,
    )  # fmt: skip


def _mean(measured: list[Measurement]) -> Measurement:
    """Over seeds: of the values, and of the bounds of their intervals."""
    values, lows, highs = ([getattr(one, name) for one in measured] for name in ("value", "low", "high"))
    bounds = (float(np.mean(lows)), float(np.mean(highs))) if None not in lows + highs else (None, None)
    return Measurement(value=float(np.mean(values)), low=bounds[0], high=bounds[1], n=measured[0].n)


def main() -> None:
    """Measure some sets, all by default."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, help="folder of the sets, each in a folder of its name")
    options.add_argument("weights", type=Path, help="folder of the pretrained checkpoints")
    options.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    options.add_argument("--seeds", type=int, nargs="+", default=[42])
    given = options.parse_args()
    warnings.simplefilter("ignore")
    for name in given.sets:
        measure(SETS[name], given.data, given.weights, given.seeds)


if __name__ == "__main__":
    main()
