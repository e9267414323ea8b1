"""``penjing finetune``."""

from __future__ import annotations

from typing import Annotated, Literal

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

_HELP = """Fine-tune a pretrained encoder on labelled text; the result is a measured version in the store.

```console
penjing finetune --name topics --model all-minilm-l6-v2 --train news.csv
```

Any table with a text and a label column will do (CSV, TSV, JSONL, Parquet, .tab), or a folder with one
subfolder of texts a label. With --task token-classification: CoNLL files, or JSONL with spans. With --task
question-answering: SQuAD's JSON, or rows of question, context and answers. With --task feature-extraction:
two columns of texts that mean the same (text1 and text2, anchor and positive …), or also a score of how
alike they are. Killed halfway, the same command goes on where it was.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("finetune", help=_HELP)(_finetune)


def _finetune(
    name: Annotated[str | None, typer.Option(help="Name of the model in the store.")] = None,
    task: Annotated[str | None, typer.Option(help="text-classification (the default) or another; see above.")] = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint directory, packaged name or hub name.")] = None,
    train: Annotated[str | None, typer.Option(help="Labelled training data: file, folder or data set name.")] = None,
    test: Annotated[str | None, typer.Option(help="Test data; by default the set's own, or a fifth held out.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training data.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longer texts are cut to this many tokens.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of splits, head, order and dropout.")] = None,
    on: Annotated[
        Literal["here", "ray"], typer.Option(help="ray: by workers of a Ray cluster; see the how-to.")
    ] = "here",
    workers: Annotated[int, typer.Option(min=1, help="With --on ray: processes that train.")] = 2,
    profile: Annotated[bool, typer.Option("--profile", help="Say at the end where the time went.")] = False,
    tensorboard: TENSORBOARD = None,
    mlflow: MLFLOW = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.finetune import Finetuned, finetune
    from penjing.app.on_ray import FinetunedElsewhere, finetune_on_ray
    from penjing.app.profile_table import profile_facts, profile_lines, profile_table
    from penjing.app.recipes import FinetuneRecipe
    from penjing.app.terminal import TerminalProgress, quality_table, show, speed_table
    from penjing.core.errors import UsageError
    from penjing.core.recipe import resolve_recipe
    from penjing.train.place import is_helper
    from penjing.train.profile import UNTIMED, Profile

    flags = {
        "name": name, "task": task, "model": model, "data.train": train, "data.test": test,
        "training.epochs": epochs, "text.max_tokens": max_tokens, "seed": seed,
        "mirrors.tensorboard": tensorboard, "mirrors.mlflow": mlflow,
    }  # fmt: skip
    told = resolve_recipe(FinetuneRecipe, recipe, sets or (), flags=flags)
    if on == "ray" and profile:
        raise UsageError("--profile with --on ray", expected="one of them", do="Profile a run of one process.")
    if is_helper():
        from penjing.app.taking_part import take_part

        take_part(told, store=store)
        return
    clock = Profile() if profile else None
    done: Finetuned | FinetunedElsewhere
    if on == "ray":
        done = finetune_on_ray(told, store=store, workers=workers, quiet=as_json)
    else:
        done = finetune(told, store=store, clock=clock or UNTIMED, progress=TerminalProgress())
    if as_json:
        print_json(version_facts(done.bundle) | ({"profile": profile_facts(clock)} if clock else {}))
        return
    show(quality_table(done.judgement.result, title=done.bundle.reference))
    if done.systems:
        show(speed_table(done.systems, title="Through the server, with the test texts", metric=done.metric))
    if clock:
        show(profile_table(clock), *profile_lines(clock))
    show(f"Registered {done.bundle.reference}. Report: {done.bundle.path / 'report.html'}")
