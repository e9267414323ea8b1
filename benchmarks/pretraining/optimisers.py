"""Is as much foreseen after equal steps with Muon as with AdamW?

A small Llama of random weights learns TinyShakespeare's first nine tenths, once or more, by ``penjing pretrain``; its
perplexity on the last tenth is taken. Each optimiser has the same rates to choose from: Muon's updates are scaled to be
as long as AdamW's, so that rates carry over; neither is judged by the other's best one. Nothing here is timed.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
import penjing
from penjing.app.pretrain_recipe import PretrainRecipe
from penjing.app.recipes import TextRecipe
from penjing.core.files import write_atomically
from penjing.core.nouns import Frozen, Measurement
from penjing.data.corpus import CorpusRecipe
from penjing.models.fresh import ArchitectureRecipe
from penjing.tokens.learning import TokenizerRecipe
from penjing.train.recipe import TrainingRecipe
from result import SystemResult, finish

SIZE = ArchitectureRecipe(family="llama", layers=4, hidden=128, heads=4, feed_forward=384, positions=128)
LONGEST, OPTIMISERS = 128, ("adamw", "muon")


def parted(text: Path, work: Path) -> tuple[Path, Path]:
    """The first nine tenths and the last, as files."""
    whole = text.read_text(encoding="utf-8")
    at = whole.index("\n\n", len(whole) * 9 // 10)
    files = work / "first.txt", work / "last.txt"
    for file, part in zip(files, (whole[:at], whole[at:]), strict=True):
        write_atomically(file, part.encode())
    return files


class Found(Frozen):
    """What came of one model."""

    perplexity: float
    tokens: int


def taught(text: tuple[Path, Path], training: TrainingRecipe, *, seed: int, work: Path) -> Found:
    """A model of this recipe, or what was found of it before."""
    name = f"{training.optimizer}-{training.learning_rate:g}-{training.epochs:g}-{seed}"
    file = work / f"{name}.json"
    if file.exists():
        return Found.model_validate_json(file.read_bytes())
    recipe = PretrainRecipe(
        name=name, objective="clm", architecture=SIZE,
        tokenizer=TokenizerRecipe(kind="bpe", vocabulary=2000), text=TextRecipe(max_tokens=LONGEST),
        data=CorpusRecipe(train=str(text[0]), test=str(text[1]), documents="file"), training=training, seed=seed,
    )  # fmt: skip
    done = penjing.pretrain(recipe, store=work / "store")
    perplexity = done.judgement.result.metrics["perplexity"].value
    found = Found(perplexity=perplexity, tokens=done.tokens)
    write_atomically(file, found.model_dump_json().encode())
    return found


def main() -> None:
    """Measure and write the result."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("text", type=Path)
    options.add_argument("work", type=Path, help="where what was made stays; a run that was killed goes on there")
    options.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3, 1e-2])
    options.add_argument("--seeds", type=int, nargs="+", default=[42, 43])
    options.add_argument("--epochs", type=float, default=1)
    options.add_argument("--threads", type=int)
    told = options.parse_args()
    warnings.simplefilter("ignore")
    if told.threads:
        torch.set_num_threads(told.threads)
    told.work.mkdir(parents=True, exist_ok=True)
    text = parted(told.text, told.work)
    systems, tokens = [], 0
    for rate in told.rates:
        for optimiser in OPTIMISERS:
            training = TrainingRecipe(
                optimizer=optimiser, learning_rate=rate, epochs=told.epochs, batch_size=16, threads=told.threads,
                save_every_s=None,
            )  # fmt: skip
            done = [taught(text, training, seed=seed, work=told.work) for seed in told.seeds]
            found = [one.perplexity for one in done]
            tokens = done[0].tokens
            print(f"{optimiser:<6} {rate:g}  perplexity {found}", flush=True)
            systems.append(SystemResult(
                name=f"{optimiser}, rate {rate:g}", ours=True, settings=training.model_dump(mode="json"),
                quality={"perplexity": Measurement(value=sum(found) / len(found), n=len(found))},
            ))  # fmt: skip
    finish(
        "pretraining",
        f"Llama of 4×128 on {told.text.parent.name}, {told.epochs:g} epochs",
        config={"table": "optimisers", "metric": "perplexity", "model": SIZE.model_dump(), "longest": LONGEST,
                "seeds": told.seeds, "tokens": tokens, "epochs": told.epochs, "threads": told.threads},
        systems=systems,
        notes=("Means over the seeds.",),
    )  # fmt: skip


if __name__ == "__main__":
    main()
