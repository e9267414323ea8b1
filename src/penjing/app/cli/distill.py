"""``penjing distill``."""

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

_HELP = """Train a smaller student to answer as its teachers do; the result is a version in the store, compared
with its first teacher text by text and through the server.

```console
penjing distill newsgroups/1 --name newsgroups-small --layers 2
```

L = α·L_CE + (1 − α)·L_D: --alpha is α, --temperature that of the softened outputs; the terms of L_D are set by
distill.terms. Teachers are versions or checkpoints; several are averaged. The student starts from --student, or
from the first teacher itself, and keeps --layers of its layers. --unlabelled gives it more texts to learn from.
Killed halfway, the same command goes on where it was. Exit status 1 and no new version if more would be lost
than --max-drop allows.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("distill", help=_HELP)(_distill)


def _distill(
    teachers: Annotated[list[str] | None, typer.Argument(help="Versions (NAME, NAME/2) or checkpoints.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the student in the store.")] = None,
    student: Annotated[
        str | None, typer.Option(help="Checkpoint to start from, or static; the teacher's own by default.")
    ] = None,
    layers: Annotated[int | None, typer.Option(help="Layers that the student keeps, evenly spread.")] = None,
    data: Annotated[str | None, typer.Option(help="Labelled data; by default what the first teacher had.")] = None,
    unlabelled: Annotated[
        str | None, typer.Option(help="More texts, without labels: file, folder or data set.")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Share of the labels' own loss.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the softened outputs.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training data.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="Accuracy (F1, …) that may be lost, as a share: 0.02.")] = None,
    tensorboard: TENSORBOARD = None,
    mlflow: MLFLOW = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.distill import distill
    from penjing.app.smaller_recipes import DistillCommand
    from penjing.app.terminal import TerminalProgress, show_smaller
    from penjing.core.recipe import resolve_recipe

    flags = {
        "teachers": teachers or None, "name": name, "student": student, "layers": layers, "data.train": data,
        "unlabelled": unlabelled, "distill.alpha": alpha, "distill.temperature": temperature,
        "training.epochs": epochs, "max_drop": max_drop,
        "mirrors.tensorboard": tensorboard, "mirrors.mlflow": mlflow,
    }  # fmt: skip
    command = resolve_recipe(DistillCommand, recipe, sets or (), flags=flags)
    done = distill(command, store=store, progress=TerminalProgress()).ended
    if as_json:
        print_json(version_facts(done.bundle))
        return
    show_smaller(done, called="the student")
