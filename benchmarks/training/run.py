"""The quickstart's fine-tuning here and in Transformers' Trainer: time, real tokens a second, accuracy.

Systems take turns seed by seed, in an order that rotates; times are of training alone (loading and
tokenising excluded for all), frozen layers' one pass included in ours.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1]))
from penjing.app.prepared import PreparedData
from penjing.app.quickstart import RECIPE, quickstart_recipe
from penjing.app.tasks import TextSettings, flow_of, prepare
from penjing.core.machine import usable_cores
from penjing.core.nouns import Measurement, Task
from penjing.core.progress import SILENT
from penjing.data import DataRecipe
from penjing.evaluate.intervals import share
from penjing.models.checkpoint import Checkpoint, find_checkpoint
from penjing.models.loading import load_model
from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.models.quiet import quiet_transformers
from penjing.tasks import text_classification
from penjing.tokens import pack_flat
from penjing.train.loop import train
from penjing.train.recipe import TrainingRecipe, resolve_precision
from penjing.train.training_set import TrainingSet
from result import SystemResult, finish

Trained = tuple[Any, float]  # model, seconds


def penjing(data: PreparedData, checkpoint: Checkpoint, recipe: TrainingRecipe, seed: int) -> Trained:
    """Our loop."""
    torch.manual_seed(seed)
    model = load_model(checkpoint, Task.TEXT_CLASSIFICATION, data.outputs)
    begun = time.perf_counter()
    settings = recipe.model_copy(update={"save_every_s": None})
    training_set = TrainingSet(data.train.sequences, data.train.targets)
    train(PackedEncoder(model), training_set, text_classification.loss, recipe=settings, seed=seed)
    return model, time.perf_counter() - begun


def trainer(
    data: PreparedData, checkpoint: Checkpoint, recipe: TrainingRecipe, seed: int, *, padded_to: int | None = None
) -> Trained:
    """Transformers' Trainer; ``padded_to`` pads all to that length, None pads each batch to its longest."""
    torch.set_num_threads(usable_cores())
    torch.manual_seed(seed)
    model = load_model(checkpoint, Task.TEXT_CLASSIFICATION, data.outputs)
    PackedEncoder(model).freeze(recipe.frozen_layers)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout) and recipe.dropout is not None:
            module.p = recipe.dropout
    with quiet_transformers():
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.path)
    padding = {"padding": "max_length", "max_length": padded_to} if padded_to else {}
    collator = transformers.DataCollatorWithPadding(tokenizer, **padding)
    rows = [
        {"input_ids": sequence.ids.tolist(), "labels": int(target)}
        for sequence, target in zip(data.train.sequences, data.train.targets, strict=True)
    ]
    steps = -(-len(rows) // recipe.batch_size) * recipe.epochs
    with tempfile.TemporaryDirectory() as scratch:
        settings = transformers.TrainingArguments(
            output_dir=scratch, per_device_train_batch_size=recipe.batch_size, num_train_epochs=recipe.epochs,
            learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay, lr_scheduler_type="linear",
            warmup_steps=round(recipe.warmup_fraction * steps), max_grad_norm=recipe.clip_norm or 0.0, seed=seed,
            use_cpu=True, save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
            dataloader_pin_memory=False, bf16=not padded_to and resolve_precision(recipe.precision) == "bf16",
            train_sampling_strategy="random" if padded_to else "group_by_length",
        )  # fmt: skip
        begun = time.perf_counter()
        transformers.Trainer(model=model, args=settings, train_dataset=rows, data_collator=collator).train()
        seconds = time.perf_counter() - begun
    return model.eval(), seconds


def answers(model: Any, data: PreparedData, rows: Sequence[int]) -> np.ndarray:
    """Predicted classes of some test texts (the packed pass equals Transformers' own, see tests/models)."""
    encoder, found = PackedEncoder(model.eval()), []
    with torch.inference_mode():
        for at in range(0, len(rows), 64):
            part = [data.test.sequences[row] for row in rows[at : at + 64]]
            found.append(encoder(PackedTensors.of(pack_flat(part))).argmax(dim=1).numpy())
    return np.concatenate(found)


def main() -> None:
    """Measure and write the result."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=None, help="training rows, all by default")
    options.add_argument("--test-rows", type=int, default=None, help="test rows, all by default")
    options.add_argument("--seeds", type=int, nargs="+", default=[42])
    options.add_argument("--without-article", action="store_true", help="leave out the slowest system")
    told = options.parse_args()
    warnings.simplefilter("ignore")
    recipe = quickstart_recipe(None, [], {})
    checkpoint = find_checkpoint(recipe.model)
    limit = recipe.text.max_tokens
    source = DataRecipe(train="20newsgroups", limit_train_rows=told.rows, limit_eval_rows=told.test_rows)
    text = TextSettings(checkpoint.tokenizer, limit, stride=0)
    data = prepare(source, flow_of(recipe.task), text, seed=recipe.seed, progress=SILENT)
    article = TrainingRecipe(epochs=recipe.training.epochs, batch_size=recipe.training.batch_size)
    systems: dict[str, Callable[[int], Trained]] = {
        "Trainer, same frozen layers": lambda seed: trainer(data, checkpoint, recipe.training, seed),
        "Penjing": lambda seed: penjing(data, checkpoint, recipe.training, seed),
    }
    if not told.without_article:
        whole = lambda seed: trainer(data, checkpoint, article, seed, padded_to=limit)  # noqa: E731
        systems = {"Trainer, as the article writes it": whole} | systems
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    right: dict[str, list[int]] = {name: [] for name in systems}
    for turn, seed in enumerate(told.seeds):
        names = list(systems)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            model, took = systems[name](seed)
            correct = answers(model, data, range(len(data.test.sequences))) == data.test.targets
            seconds[name].append(took)
            right[name].append(int(correct.sum()))
            print(f"seed {seed}  {name:<36} {took:7.1f} s  accuracy {correct.mean():.4f}", flush=True)
    _write(told, recipe.training, data, seconds, right)


def _write(
    told: argparse.Namespace,
    recipe: TrainingRecipe,
    data: PreparedData,
    seconds: dict[str, list[float]],
    right: dict[str, list[int]],
) -> None:
    baseline = next(iter(seconds))
    tokens = data.train.tokens * recipe.epochs
    systems = []
    for name, took in seconds.items():
        rates = [tokens / one for one in took]
        ratios = [slow / fast for slow, fast in zip(seconds[baseline], took, strict=True)]
        systems.append(
            SystemResult(
                name=name,
                ours=name == "Penjing",
                quality={"accuracy": share(sum(right[name]), len(took) * len(data.test.sequences))},
                speed={"seconds": _over(took, "s"), "tokens_per_s": _over(rates, "tokens/s")},
                ratio=None if name == baseline else _over(ratios, ""),
            )
        )
    finish(
        "training",
        f"Fine-tuning MiniLM-L6 on {len(data.train.sequences):,} newsgroup posts cut at {RECIPE['text']['max_tokens']} "
        f"tokens, {recipe.epochs:g} epochs of batches of {recipe.batch_size}, on {usable_cores()} cores:",
        config={"seeds": told.seeds, "rows": told.rows, "recipe": recipe.model_dump(mode="json"),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "precision": resolve_precision(recipe.precision), "transformers": transformers.__version__},
        systems=systems,
        notes=(
            f"{len(told.seeds)} seed(s); with fewer than six no interval of the times is given, the range is: "
            + "; ".join(f"{name} {min(took):.0f}–{max(took):.0f} s" for name, took in seconds.items()) + ".",
            (
                "The article's row, where there is one, trains every layer in fp32 at Trainer's default rate; the "
                f"other two freeze the first {recipe.frozen_layers} layers and train the rest at the quickstart's "
                f"rate, in {resolve_precision(recipe.precision)}."
            ),
        ),
    )  # fmt: skip


def _over(values: list[float], unit: str) -> Measurement:
    return Measurement(value=float(np.median(values)), n=len(values), unit=unit)


if __name__ == "__main__":
    main()
