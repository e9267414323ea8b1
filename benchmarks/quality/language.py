"""How well do language models foresee text here and in Transformers, and is as much learnt from the same tokens?

``perplexity``: the same weights and the same windows through Penjing's engine in fp32 and int8 and through
Transformers. ``causal``: a small Llama of random weights, taught by ``penjing pretrain`` and by a Trainer as
Transformers' ``run_clm`` sets it up: the same first weights, tokens, steps, rate and schedule. ``stories``: both of
them on stories that stories15M wrote, since no corpus of stories is at hand. Nothing here is timed. Masked models: see
``benchmarks/pretraining``.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1]))
import penjing
from forms import both_forms
from penjing.app.corpus import prepare_corpus
from penjing.app.generate import SamplingRecipe, generate
from penjing.app.judging import judge_files
from penjing.app.origin import settings_of
from penjing.app.prepared import Part
from penjing.app.pretrain_recipe import PretrainRecipe
from penjing.app.pretraining import TorchEngine
from penjing.app.recipes import TextRecipe
from penjing.app.tasks import Judgement, flow_of
from penjing.core.files import write_atomically
from penjing.core.machine import usable_cores
from penjing.core.nouns import Task
from penjing.core.progress import SILENT
from penjing.data import GenerationExample, make_split
from penjing.data.corpus import CorpusRecipe
from penjing.models.checkpoint import Checkpoint, inspect_checkpoint
from penjing.models.decoder import packed_model
from penjing.models.fresh import ArchitectureRecipe
from penjing.models.loading import load_model
from penjing.store import Bundle, Store
from penjing.tokens.learning import TokenizerRecipe
from penjing.tokens.taught import targets_of
from penjing.train.recipe import TrainingRecipe, resolve_precision
from result import SystemResult, finish

FLOW = flow_of(Task.TEXT_GENERATION)
SIZE = ArchitectureRecipe(family="llama", layers=4, hidden=128, heads=4, feed_forward=384, positions=128)
LONGEST = 128


def perplexity(title: str, weights: Path, text: Path, *, windows: int, longest: int, work: Path) -> None:
    """One model and the first windows of one text, in three ways."""
    name = weights.name.lower()
    home = both_forms(weights, name, work / "language")
    bundle = home.bundle(name, 1)
    part = _first(bundle, text, windows=windows, longest=longest)
    found = {"Transformers fp32": _by_transformers(bundle, part)}
    for version, called in ((1, "Penjing fp32"), (2, "Penjing int8")):
        own = home.bundle(name, version)
        found[called] = judge_files(own.path, own.manifest.draft(), part, name=called, progress=SILENT)
    config = {"model": weights.name, "windows": windows, "longest": longest, "tokens": sum(map(len, part.targets))}
    _write(title, found, part, config=config)


def _first(bundle: Bundle, text: Path, *, windows: int, longest: int) -> Part:
    """The beginning of a text in windows that share nothing, an example each, so that intervals resample them."""
    opener: Any = gzip.open if text.suffix == ".gz" else open
    with opener(text, "rt", encoding="utf-8") as file:
        whole = file.read(windows * longest * 8)
    example = GenerationExample(whole, None, (), text.name)
    settings = replace(settings_of(bundle), max_tokens=longest, stride=0)
    part = FLOW.part(make_split("test", str(text), [example]), settings, ())
    own = (part.windows or [[]])[0][:windows]
    if len(own) < windows:
        raise SystemExit(f"{text} holds {len(own)} windows of {longest} tokens, not {windows}")
    split = make_split("test", str(text), [replace(example, origin=f"window {row}") for row in range(windows)])
    sequences = list(part.sequences)[:windows]
    return Part(split, sequences, [targets_of(one) for one in sequences], None, [[one] for one in own])


def _by_transformers(bundle: Bundle, part: Part) -> Judgement:
    """Transformers' own forward pass over each window, alone and unpadded."""
    with torch.inference_mode():
        model = transformers.AutoModelForCausalLM.from_pretrained(bundle.path / "checkpoint", dtype=torch.float32)
        return FLOW.judge(_Transformers(model.eval()), part, (), decoding={}, name="", progress=SILENT)


class _Transformers:
    """A model as the judge takes engines; what it answers is Transformers' own."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def score(self, sequences: list[list[int]]) -> list[npt.NDArray[np.float32]]:
        """See :meth:`penjing.engines.Generator.score`."""
        found = []
        for ids in sequences:
            logits = self._model(torch.tensor([ids]), use_cache=False).logits[0, :-1].float()
            shares = torch.log_softmax(logits, dim=-1)
            found.append(shares[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].numpy())
        return found


def causal(title: str, text: Path, recipe: TrainingRecipe, *, seed: int, work: Path) -> None:
    """The last tenth of a text, foreseen by two models that read the rest."""
    train, test = _parted(text, work)
    told = PretrainRecipe(
        name="small", objective="clm", architecture=SIZE, tokenizer=TokenizerRecipe(kind="bpe", vocabulary=2000),
        data=CorpusRecipe(train=str(train), test=str(test), documents="file"),
        text=TextRecipe(max_tokens=LONGEST, stride=0), training=recipe, seed=seed,
    )  # fmt: skip
    folder = work / f"causal-{text.stem}-{seed}-{recipe.epochs:g}"
    if "small" not in Store(folder).models():
        penjing.pretrain(told, store=folder)
    corpus = prepare_corpus(told, store=folder, progress=SILENT)
    own = load_model(inspect_checkpoint(Store(folder).bundle("small").path / "checkpoint"))
    blocks = [{"input_ids": one.ids.tolist(), "labels": one.ids.tolist()} for one in corpus.sequences]
    part = _apart(corpus.test)
    found = {
        name: FLOW.judge(TorchEngine(packed_model(model)), part, (), decoding={}, name="", progress=SILENT)
        for name, model in (("run_clm", run_clm(corpus.start, blocks, recipe, seed=seed)), ("Penjing", own))
    }
    config = {
        "model": SIZE.model_dump(), "blocks": len(blocks), "longest": LONGEST, "seed": seed,
        "tokens": sum(map(len, part.targets)), "training": recipe.model_dump(mode="json"),
        "precision": resolve_precision(recipe.precision), "taught": sum(len(one["input_ids"]) for one in blocks),
    }  # fmt: skip
    _write(f"{title}, {recipe.epochs:g} epochs, seed {seed}", found, part, config=config)


def write_stories(weights: Path, count: int, work: Path) -> Path:
    """A text of stories, drawn at temperature 1 with seeds from stories15M, an empty line between two."""
    path = work / f"stories-{count}.txt"
    if not path.is_file():
        home = both_forms(weights, weights.name.lower(), work / "language")
        sampling = SamplingRecipe(max_tokens=240, temperature=1, seed=0)
        drawn = generate(f"{weights.name.lower()}/1", ["Once upon a time"] * count, store=home.root, sampling=sampling)
        stories = ["Once upon a time" + " ".join(one.text.split("\n")).rstrip() for one in drawn]
        write_atomically(path, "\n\n".join(stories).encode())
    return path


def _parted(text: Path, work: Path) -> tuple[Path, Path]:
    """The first nine tenths of a text, and the rest."""
    whole = text.read_text(encoding="utf-8")
    cut = whole.rindex("\n\n", 0, len(whole) * 9 // 10)
    files = work / f"{text.stem}-train.txt", work / f"{text.stem}-test.txt"
    for file, part in zip(files, (whole[:cut], whole[cut:]), strict=True):
        file.write_text(part, encoding="utf-8")
    return files


def _apart(part: Part) -> Part:
    """A long document's windows as examples of their own, so that intervals resample them."""
    own = [window for windows in part.windows or () for window in windows]
    example = part.split.examples[0]
    split = make_split("test", part.split.source, [replace(example, origin=f"window {row}") for row in range(len(own))])
    return replace(part, split=split, windows=[[one] for one in own])


def run_clm(start: Checkpoint, blocks: list[dict[str, Any]], recipe: TrainingRecipe, *, seed: int) -> Any:
    """Transformers' example after its texts are grouped: blocks of one size, the loss of Transformers' own model."""
    torch.set_num_threads(recipe.threads or usable_cores())
    torch.manual_seed(seed)
    model = load_model(start, Task.TEXT_GENERATION)
    blocks = [one for one in blocks if len(one["input_ids"]) == LONGEST]  # the example, too, leaves out the last
    steps = round(recipe.epochs * -(-len(blocks) // recipe.batch_size))
    with tempfile.TemporaryDirectory() as scratch:
        settings = transformers.TrainingArguments(
            output_dir=scratch, per_device_train_batch_size=recipe.batch_size, max_steps=steps,
            learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay, lr_scheduler_type="linear",
            warmup_steps=round(recipe.warmup_fraction * steps), max_grad_norm=recipe.clip_norm or 0.0, seed=seed,
            use_cpu=True, save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
            dataloader_pin_memory=False, bf16=resolve_precision(recipe.precision) == "bf16",
        )  # fmt: skip
        collator = transformers.default_data_collator
        transformers.Trainer(model=model, args=settings, train_dataset=blocks, data_collator=collator).train()
    return model.eval()


def _write(title: str, found: dict[str, Judgement], part: Part, *, config: dict[str, Any]) -> None:
    first, systems = next(iter(found.values())), []
    for name, one in found.items():
        quality = {"perplexity": one.result.metrics["perplexity"]}
        if one is not first:
            change = FLOW.compare(first.predictions, one.predictions, part=part, outputs=())
            quality |= {"difference": next(iter(change.differences.values()))}
        systems.append(SystemResult(name=name, ours=name.startswith("Penjing"), quality=quality))
        print(f"{title}  {name}  {quality}", flush=True)
    config = {"table": "language", "metric": "perplexity", "transformers": transformers.__version__} | config
    finish("quality", title, config=config, systems=systems)


def main() -> None:
    """Measure one of the three."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=("perplexity", "causal", "stories"))
    options.add_argument("data", type=Path, help="folder of the sets, each in a folder of its name")
    options.add_argument("weights", type=Path, help="folder of the pretrained checkpoints")
    options.add_argument("work", type=Path, help="where what was made stays; a run that was killed goes on there")
    options.add_argument("--models", nargs="+", default=["stories15M", "smollm2-135m-instruct"])
    options.add_argument("--windows", type=int, default=64)
    options.add_argument("--epochs", type=float, default=3)
    options.add_argument("--seeds", type=int, nargs="+", default=[42])
    options.add_argument("--stories", type=int, default=3000)
    options.add_argument("--threads", type=int)
    told = options.parse_args()
    warnings.simplefilter("ignore")
    if told.threads:
        torch.set_num_threads(told.threads)
    recipe = TrainingRecipe(epochs=told.epochs, batch_size=16, learning_rate=1e-3, threads=told.threads)
    shakespeare = next((told.data / "tinyshakespeare").glob("*.txt"))
    if told.what == "stories":
        weights = told.weights / "stories15M"
        text = write_stories(weights, told.stories, told.work)
        perplexity("stories15M on stories", weights, text, windows=told.windows, longest=256, work=told.work)
        for seed in told.seeds:
            causal("Llama of 4×128 on stories, from scratch", text, recipe, seed=seed, work=told.work)
    elif told.what == "perplexity":
        for model in told.models:
            for called, text in (
                ("WikiText-2", told.data / "wikitext-2" / "test.txt"),
                ("TinyShakespeare", shakespeare),
            ):
                title = f"{model} on {called}"
                perplexity(title, told.weights / model, text, windows=told.windows, longest=256, work=told.work)
    else:
        for seed in told.seeds:
            causal("Llama of 4×128 on TinyShakespeare, from scratch", shakespeare, recipe, seed=seed, work=told.work)


if __name__ == "__main__":
    main()
