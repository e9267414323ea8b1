"""Does a translation model translate, and learn, as well here as in Transformers?

``ready``: one checkpoint as it comes, through Penjing's engine in fp32 and int8 and through Transformers' generate,
with the same beams. ``scratch``: a small model of random weights with its own tokenizer, taught by ``penjing finetune``
and by Transformers' Seq2SeqTrainer: the same first weights, token ids, steps, rate and schedule. Nothing here is timed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1]))
import penjing
from forms import both_forms
from penjing.app.judging import judge_files
from penjing.app.origin import settings_of
from penjing.app.prepared import Part
from penjing.app.recipes import FinetuneRecipe, ScratchRecipe, TextRecipe
from penjing.app.tasks import TextSettings, flow_of, prepare
from penjing.app.tasks.translation import from_codes
from penjing.core.nouns import Task, Translation
from penjing.core.progress import SILENT
from penjing.data import DataRecipe, load_split
from penjing.evaluate import TranslationScorer
from penjing.models.checkpoint import Checkpoint, inspect_checkpoint
from penjing.models.loading import load_model
from penjing.models.quiet import quiet_transformers
from penjing.store import Bundle, Store
from penjing.tasks.translation import source_of
from penjing.train.recipe import TrainingRecipe, resolve_precision
from result import SystemResult, finish

TOGETHER = 16  # texts that Transformers translates at once
MOST = 64  # tokens of a text of Multi30k
SIZE = ScratchRecipe(vocabulary=4000, width=128, layers=2, heads=4)


def ready(title: str, weights: Path, test: DataRecipe, *, most: int | None, work: Path) -> None:
    """A checkpoint as it comes: the engine's translations beside Transformers', of the same texts."""
    home = both_forms(weights, "ready", work / "ready")
    bundle = home.bundle("ready", 1)
    flow, split = flow_of(Task.TRANSLATION), load_split(test.train, (), task=Task.TRANSLATION, recipe=test)
    split = replace(split, examples=split.examples[:most])
    checkpoint = inspect_checkpoint(bundle.path / "checkpoint")
    part = flow.part(split, replace(settings_of(bundle), start=checkpoint.start_id), ())
    how, longest = bundle.manifest.translation or Translation(), bundle.manifest.text.max_tokens
    said = {"Transformers fp32": translated_by_transformers(load_model(checkpoint), part, how, longest)}
    for version, name in ((1, "Penjing fp32"), (2, "Penjing int8")):
        said[name] = _through_the_engine(home.bundle("ready", version), part)
    _write(title, said, part, config={"model": weights.name, "beams": how.beams, "rows": split.rows})


def scratch(
    pair: tuple[str, str], data: Path, recipe: TrainingRecipe, *, rows: int | None, seed: int, work: Path
) -> None:
    """A small model from nothing, taught on both sides; each asked through its own way of writing."""
    files = {
        split: str(data / "multi30k" / f"{file}.{{{pair[0]},{pair[1]}}}.gz")
        for split, file in (("train", "train"), ("validation", "val"), ("test", "test_2016_flickr"))
    }
    told = FinetuneRecipe(
        name="-".join(pair), task=Task.TRANSLATION, scratch=SIZE, data=DataRecipe(**files, limit_train_rows=rows),
        text=TextRecipe(max_tokens=MOST), training=recipe, seed=seed,
    )  # fmt: skip
    folder = work / f"{told.name}-{seed}-{recipe.epochs:g}-{rows or 'all'}"
    home = Store(folder)
    if told.name not in home.models():
        ended = penjing.finetune(told, store=folder)
        print(f"Penjing: {ended.seconds:.0f} s, {ended.judgement.result.metrics['bleu']}", flush=True)
    bundle = home.bundle(told.name)
    start = inspect_checkpoint(bundle.path / "checkpoint")
    text = TextSettings(start.tokenizer, MOST, 0, translation=told.translation, start=start.start_id)
    prepared = prepare(told.data, flow_of(told.task), text, seed=seed, progress=SILENT)
    begun = time.monotonic()
    model = taught_by_trainer(start, prepared.train, recipe, seed=seed, work=folder / "trainer")
    print(f"Seq2SeqTrainer: {time.monotonic() - begun:.0f} s", flush=True)
    said = {
        "Seq2SeqTrainer": translated_by_transformers(model, prepared.test, told.translation, MOST),
        "Penjing": _through_the_engine(bundle, prepared.test),
    }
    taught = prepared.train.split.rows
    config = {
        "model": SIZE.model_dump(), "beams": told.translation.beams, "rows": prepared.test.split.rows, "seed": seed,
        "train_rows": taught, "steps": round(recipe.epochs * -(-taught // recipe.batch_size)),
        "training": recipe.model_dump(mode="json"), "precision": resolve_precision(recipe.precision),
    }  # fmt: skip
    title = f"Multi30k {pair[0]}→{pair[1]} from scratch, {taught:,} pairs, {recipe.epochs:g} epochs"
    _write(title, said, prepared.test, config=config)


def taught_by_trainer(start: Checkpoint, train: Part, recipe: TrainingRecipe, *, seed: int, work: Path) -> Any:
    """A model of the same first weights, taught by Transformers; kept in ``work``, for a run that is called again."""
    with quiet_transformers():
        if (work / "config.json").is_file():
            return transformers.MarianMTModel.from_pretrained(work).eval()
        config = transformers.MarianConfig.from_pretrained(start.path)
        torch.manual_seed(seed)
        model = transformers.MarianMTModel(config)  # as penjing.app.scratch makes it
        with torch.no_grad():
            model.get_input_embeddings().weight[-1] = 0
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(start.tokenizer),
            **dict(zip(("pad_token", "eos_token", "unk_token"), ("<pad>", "</s>", "<unk>"), strict=True)),
        )
        rows = [
            {"input_ids": source_of(one).tolist(), "labels": target.tolist()}
            for one, target in zip(train.sequences, train.targets, strict=True)
            if len(target)
        ]
        steps = round(recipe.epochs * -(-len(rows) // recipe.batch_size))
        settings = transformers.Seq2SeqTrainingArguments(
            output_dir=str(work), per_device_train_batch_size=recipe.batch_size, max_steps=steps,
            learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay, lr_scheduler_type="linear",
            warmup_steps=round(recipe.warmup_fraction * steps), max_grad_norm=recipe.clip_norm or 0.0, seed=seed,
            use_cpu=True, save_strategy="steps", save_steps=250, save_total_limit=1, logging_strategy="no",
            report_to="none", disable_tqdm=True, dataloader_pin_memory=False,
            bf16=resolve_precision(recipe.precision) == "bf16", label_smoothing_factor=recipe.label_smoothing,
        )  # fmt: skip
        collator = transformers.DataCollatorForSeq2Seq(tokenizer, model=model)
        trainer = transformers.Seq2SeqTrainer(model=model, args=settings, train_dataset=rows, data_collator=collator)
        trainer.train(resume_from_checkpoint=any(work.glob("checkpoint-*")) or None)
        model.save_pretrained(work)
    return model.eval()


def translated_by_transformers(model: Any, part: Part, how: Translation, longest: int) -> list[str]:
    """Transformers' translations of the same token ids, texts of like length together."""
    sources = [source_of(one).tolist() for one in part.sequences]
    order, said = sorted(range(len(sources)), key=lambda row: len(sources[row])), [""] * len(sources)
    pad = int(model.config.pad_token_id)
    for at in range(0, len(order), TOGETHER):
        rows = order[at : at + TOGETHER]
        width = max(len(sources[row]) for row in rows)
        ids = torch.tensor([sources[row] + [pad] * (width - len(sources[row])) for row in rows])
        mask = torch.tensor([[column < len(sources[row]) for column in range(width)] for row in rows]).long()
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids, attention_mask=mask, num_beams=how.beams, length_penalty=how.length_penalty,
                max_length=longest + 1, do_sample=False,
            )  # fmt: skip
        for row, answer in zip(rows, made[:, 1:].tolist(), strict=True):
            said[row] = part.encoder.encoder.decode([one for one in answer if one != pad])
    return said


def _through_the_engine(bundle: Bundle, part: Part) -> list[str]:
    draft = bundle.manifest.draft()
    return from_codes(judge_files(bundle.path, draft, part, name="judging", progress=SILENT).predictions)


def _write(title: str, said: dict[str, list[str]], part: Part, *, config: dict[str, Any]) -> None:
    """Scores of all, and what changes from the first to each other, text by text."""
    scorer = TranslationScorer([one.target for one in part.split.examples])
    first, systems = next(iter(said.values())), []
    for name, texts in said.items():
        quality = {key: value for key, value in scorer.result(texts).metrics.items() if key != "same"}
        if texts is not first:
            change = scorer.change(first, texts)
            quality |= {"difference": change.difference, "agreement": change.agreement}
        systems.append(SystemResult(name=name, ours=name.startswith("Penjing"), quality=quality))
        print(f"{title}  {name}  BLEU {quality['bleu']}", flush=True)
    finish(
        "quality", title,
        config={"table": "translation", "metric": "bleu", "transformers": transformers.__version__} | config,
        systems=systems,
    )  # fmt: skip


def tatoeba(folder: Path, work: Path) -> DataRecipe:
    """English–French pairs by a digest of the English side, the first translation of each."""
    lines = (folder / "tatoeba-en-es-fr" / "fra.txt").read_text(encoding="utf-8").splitlines()
    pairs: dict[str, str] = {}
    for line in lines:
        english, french, *_ = line.split("\t")
        pairs.setdefault(english, french)
    ordered = sorted(pairs, key=lambda english: hashlib.sha256(english.encode()).digest())
    target = work / "tatoeba-en-fr.jsonl"
    rows = (json.dumps({"source": one, "target": pairs[one]}, ensure_ascii=False) for one in ordered)
    target.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return DataRecipe(train=str(target))


def main() -> None:
    """Measure one of the two."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=("ready", "scratch"))
    options.add_argument("data", type=Path, help="folder of the sets, each in a folder of its name")
    options.add_argument("weights", type=Path, help="folder of the pretrained checkpoints")
    options.add_argument("work", type=Path, help="where what was made stays; a run that was killed goes on there")
    options.add_argument("--rows", type=int, help="texts to translate (ready), or pairs to teach (scratch)")
    options.add_argument("--pair", nargs=2, default=("en", "de"))
    options.add_argument("--epochs", type=float, default=6)
    options.add_argument("--seed", type=int, default=42)
    options.add_argument("--threads", type=int)
    told = options.parse_args()
    warnings.simplefilter("ignore")
    told.work.mkdir(parents=True, exist_ok=True)
    if told.threads:
        torch.set_num_threads(told.threads)
    if told.what == "ready":
        multi30k = DataRecipe(train=str(told.data / "multi30k" / "test_2016_flickr.{en,fr}.gz"))
        tests = {"Tatoeba en→fr": tatoeba(told.data, told.work), "Multi30k en→fr, test 2016": multi30k}
        for title, test in tests.items():
            ready(f"OPUS-MT, {title}", told.weights / "opus-mt-en-fr", test, most=told.rows or 1000, work=told.work)
        return
    recipe = TrainingRecipe(
        epochs=told.epochs, batch_size=64, learning_rate=2e-3, label_smoothing=0.1, threads=told.threads
    )
    scratch(tuple(told.pair), told.data, recipe, rows=told.rows, seed=told.seed, work=told.work)


if __name__ == "__main__":
    main()
