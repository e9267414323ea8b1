"""``penjing pretrain``."""

from __future__ import annotations

from typing import Annotated

import typer

from penjing.app.cli.options import (
    DEFAULT_STORE,
    JSON,
    MLFLOW,
    RECIPE,
    SETS,
    STORE,
    TENSORBOARD,
    print_json,
    version_facts,
)

_HELP = """Pretrain a language model on text without labels, from scratch or from a checkpoint.

```console
penjing pretrain --name news --train articles/ --model all-minilm-l6-v2
```

Text files, tables with a text column (CSV, JSONL, Parquet), or a folder of them, of any size: the text is
turned into tokens on disk once. Without --model a tokenizer is learnt from it and a small model begins with
random weights; the recipe says how large (architecture, tokenizer). The result is a measured version for
fill-mask; its checkpoint goes into `penjing finetune --model`. Killed halfway, the same command goes on where
it was.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("pretrain", help=_HELP)(_pretrain)


def _pretrain(
    name: Annotated[str | None, typer.Option(help="Name of the model in the store.")] = None,
    train: Annotated[str | None, typer.Option(help="Text: file, folder or hf: name.")] = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint to go on from; without it, from scratch.")] = None,
    test: Annotated[str | None, typer.Option(help="Held-out text; by default some documents of --train.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the text.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longer documents are cut into several sequences.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of what is held out, weights, order and masks.")] = None,
    tensorboard: TENSORBOARD = None,
    mlflow: MLFLOW = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.pretrain import before_and_after, pretrain
    from penjing.app.pretrain_recipe import PretrainRecipe
    from penjing.app.terminal import TerminalProgress, quality_table, show, speed_table
    from penjing.core.recipe import resolve_recipe

    flags = {
        "name": name, "model": model, "data.train": train, "data.test": test,
        "training.epochs": epochs, "text.max_tokens": max_tokens, "seed": seed,
        "mirrors.tensorboard": tensorboard, "mirrors.mlflow": mlflow,
    }  # fmt: skip
    told = resolve_recipe(PretrainRecipe, recipe, sets or (), flags=flags)
    done = pretrain(told, store=store, progress=TerminalProgress())
    if as_json:
        print_json(version_facts(done.bundle))
        return
    show(quality_table(done.judgement.result, title=done.bundle.reference))
    before, after = before_and_after(done)
    speed = f"{done.tokens:,} tokens in {done.seconds:,.0f} s"
    show(f"Perplexity on held-out text: {before} before, {after} after. Trained on {speed}.")
    if done.systems:
        show(speed_table(done.systems, title="Through the server, with held-out texts", metric=done.judgement.metric))
    show(f"Registered {done.bundle.reference}. Report: {done.bundle.path / 'report.html'}")
