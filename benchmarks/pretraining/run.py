"""Masked pretraining here and in a loop like Transformers' run_mlm: time for the same tokens, and what was learnt.

All systems begin with the same weights and see the same documents once, in the same number of optimiser steps, with
the same rate of masks, learning rate and schedule. They take turns seed by seed, in an order that rotates; times are of
training alone. All are judged by the same masks on the same held-out documents.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1]))
from penjing.app.prepared import Part
from penjing.app.pretraining import TorchEngine
from penjing.app.tasks import TextSettings, flow_of
from penjing.core.machine import usable_cores
from penjing.core.nouns import Measurement, Task
from penjing.core.progress import SILENT
from penjing.data import TextExample, make_split
from penjing.data.corpus import CorpusRecipe, documents
from penjing.evaluate import MaskedResult
from penjing.models.checkpoint import Checkpoint, find_checkpoint
from penjing.models.loading import load_model, quiet_transformers
from penjing.models.packed import PackedEncoder
from penjing.tokens.encode import open_tokenizer
from penjing.tokens.masking import Masker, MaskingRecipe, read_vocabulary
from penjing.tokens.stream import TokenWindows, around, open_tokens, pieces_of, write_tokens
from penjing.train.language import masked_set, token_loss
from penjing.train.loop import train
from penjing.train.recipe import TrainingRecipe, resolve_precision
from result import SystemResult, finish

Trained = tuple[Any, float]  # model, seconds
LONGEST, RATE = 128, 0.15


def penjing(texts: list[str], checkpoint: Checkpoint, recipe: TrainingRecipe, seed: int) -> Trained:
    """Our loop: documents apart, packed, the head at the masks."""
    model = _beginning(checkpoint, seed)
    tokenizer = _whole(checkpoint)
    before, after = around(tokenizer)
    with tempfile.TemporaryDirectory() as scratch:
        write_tokens(Path(scratch) / "text", texts, tokenizer)
        windows = TokenWindows(open_tokens(Path(scratch) / "text"), max_tokens=LONGEST, before=before, after=after)
        masker = Masker(read_vocabulary(checkpoint.tokenizer), MaskingRecipe(rate=RATE))
        data = masked_set(windows, masker, seed=seed, lengths=windows.lengths)
        begun = time.perf_counter()
        train(PackedEncoder(model), data, token_loss, recipe=recipe, seed=seed)
        return model, time.perf_counter() - begun


def run_mlm(
    texts: list[str], checkpoint: Checkpoint, recipe: TrainingRecipe, seed: int, *, concatenated: bool
) -> Trained:
    """Transformers' example: texts one after another in blocks, or each padded in its batch; the head everywhere."""
    torch.set_num_threads(usable_cores())
    model = _beginning(checkpoint, seed)
    with quiet_transformers():
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.path)
        rows = _blocks(texts, tokenizer) if concatenated else _pieces(texts, tokenizer)
    collator = transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=RATE)
    steps = -(-len(rows) // recipe.batch_size) * recipe.epochs
    with tempfile.TemporaryDirectory() as scratch:
        settings = transformers.TrainingArguments(
            output_dir=scratch, per_device_train_batch_size=recipe.batch_size, num_train_epochs=recipe.epochs,
            learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay, lr_scheduler_type="linear",
            warmup_steps=round(recipe.warmup_fraction * steps), max_grad_norm=recipe.clip_norm or 0.0, seed=seed,
            use_cpu=True, save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
            dataloader_pin_memory=False, bf16=resolve_precision(recipe.precision) == "bf16",
            train_sampling_strategy="random" if concatenated else "group_by_length",
        )  # fmt: skip
        begun = time.perf_counter()
        transformers.Trainer(model=model, args=settings, train_dataset=rows, data_collator=collator).train()
        return model.eval(), time.perf_counter() - begun


def _beginning(checkpoint: Checkpoint, seed: int) -> Any:
    torch.manual_seed(seed)
    return load_model(checkpoint, Task.FILL_MASK)


def _whole(checkpoint: Checkpoint) -> Any:
    tokenizer = open_tokenizer(checkpoint.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _blocks(texts: list[str], tokenizer: Any) -> list[dict[str, list[int]]]:
    """As run_mlm groups texts: the special tokens of each stay, the last block is left out."""
    ids = [token for text in texts for token in tokenizer(text, verbose=False)["input_ids"]]
    return [{"input_ids": ids[at : at + LONGEST]} for at in range(0, len(ids) - LONGEST + 1, LONGEST)]


def _pieces(texts: list[str], tokenizer: Any) -> list[dict[str, list[int]]]:
    """The same pieces of documents as ours."""
    made = (tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] for text in texts)
    room = LONGEST - 2
    return [
        {"input_ids": [tokenizer.cls_token_id, *ids[at : at + room], tokenizer.sep_token_id]}
        for ids in made
        for at in range(0, len(ids), room)
    ]


def held_out(recipe: CorpusRecipe, checkpoint: Checkpoint, most: int) -> Part:
    """The documents that all are judged on."""
    tokenizer = _whole(checkpoint)
    examples = [
        TextExample(piece, None, f"document {number}")
        for number, text in enumerate(islice(documents(recipe, "test", seed=0), most))
        for piece in pieces_of(text, tokenizer, room=LONGEST - 2)
    ]
    settings = TextSettings(checkpoint.tokenizer, LONGEST, 0)
    return flow_of(Task.FILL_MASK).part(make_split("test", recipe.train, examples), settings, ())


def judged(model: Any, part: Part) -> MaskedResult:
    """Accuracy and perplexity at the masks."""
    engine: Any = TorchEngine(PackedEncoder(model.eval()))
    told = flow_of(Task.FILL_MASK).judge(engine, part, (), decoding={}, name="", progress=SILENT).result
    assert isinstance(told, MaskedResult)
    return told


def main() -> None:
    """Measure and write the result."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("text", help="text to train on, as penjing pretrain takes it")
    options.add_argument("--model", default="all-minilm-l6-v2")
    options.add_argument("--documents", default="paragraph")
    options.add_argument("--most", type=int, default=600, help="documents to train on")
    options.add_argument("--seeds", type=int, nargs="+", default=[42, 43])
    told = options.parse_args()
    warnings.simplefilter("ignore")
    checkpoint = find_checkpoint(told.model)
    source = CorpusRecipe(train=told.text, documents=told.documents, encoding_errors="replace", held_out=0.1)
    texts = list(islice(documents(source, "train", seed=0), told.most))
    part = held_out(source, checkpoint, 60)
    recipe = TrainingRecipe(epochs=1, batch_size=32, learning_rate=3e-4, save_every_s=None)
    systems: dict[str, Callable[[int], Trained]] = {
        "run_mlm, documents padded": lambda seed: run_mlm(texts, checkpoint, recipe, seed, concatenated=False),
        "run_mlm, concatenated": lambda seed: run_mlm(texts, checkpoint, recipe, seed, concatenated=True),
        "Penjing": lambda seed: penjing(texts, checkpoint, recipe, seed),
    }
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    found: dict[str, list[MaskedResult]] = {name: [] for name in systems}
    for turn, seed in enumerate(told.seeds):
        names = list(systems)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            model, took = systems[name](seed)
            seconds[name].append(took)
            found[name].append(judged(model, part))
            print(f"seed {seed}  {name:<28} {took:7.1f} s  {found[name][-1].metrics['perplexity']}", flush=True)
    tokens = sum(len(one.ids) for one in _whole(checkpoint).encode_batch_fast(texts, add_special_tokens=False))
    _write(told, recipe, tokens, seconds, found)


def _write(
    told: argparse.Namespace,
    recipe: TrainingRecipe,
    tokens: int,
    seconds: dict[str, list[float]],
    found: dict[str, list[MaskedResult]],
) -> None:
    baseline = next(iter(seconds))
    systems = [
        SystemResult(
            name=name,
            ours=name == "Penjing",
            quality={"accuracy": found[name][0].metrics["masked_accuracy"],
                     "perplexity": found[name][0].metrics["perplexity"]},
            speed={"seconds": _over(took, "s"), "tokens_per_s": _over([tokens / one for one in took], "tokens/s")},
            ratio=None if name == baseline else _over(
                [slow / fast for slow, fast in zip(seconds[baseline], took, strict=True)], ""),
        )
        for name, took in seconds.items()
    ]  # fmt: skip
    finish(
        "pretraining",
        f"Guessing masked tokens, MiniLM-L6 with a new head, {tokens:,} tokens of {Path(told.text).name} once, "
        f"sequences of {LONGEST}, on {usable_cores()} cores:",
        config={"seeds": told.seeds, "documents": told.most, "recipe": recipe.model_dump(mode="json"),
                "precision": resolve_precision(recipe.precision), "transformers": transformers.__version__},
        systems=systems,
        notes=(
            "accuracy is that of the likeliest token at the same masks of held-out documents, first seed; perplexity "
            "there, seed by seed: " + "; ".join(
                f"{name} {', '.join(_perplexity(one) for one in own)}" for name, own in found.items()) + ".",
            f"{len(told.seeds)} seed(s); the times range over: "
            + "; ".join(f"{name} {min(took):.0f}–{max(took):.0f} s" for name, took in seconds.items()) + ".",
        ),
    )  # fmt: skip


def _perplexity(result: MaskedResult) -> str:
    return f"{result.metrics['perplexity'].value:.1f}"


def _over(values: list[float], unit: str) -> Measurement:
    return Measurement(value=float(np.median(values)), n=len(values), unit=unit)


if __name__ == "__main__":
    main()
