"""``penjing evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penjing.app.cli.options import DEFAULT_STORE, JSON, MODEL, RECIPE, SETS, STORE, print_json

_HELP = """Judge a version on labelled text: accuracy, macro-F1, calibration, with 95 % intervals.

```console
penjing evaluate newsgroups/2
penjing evaluate topics --data fresh.csv --report fresh.html
```

Without --data it is the test split the version was made with. A recipe here is the data section of a
fine-tuning recipe (column names, encoding, delimiter …).
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("evaluate", help=_HELP)(_evaluate)


def _evaluate(
    model: MODEL,
    data: Annotated[str | None, typer.Option(help="Labelled data: file, folder or data set name.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report to this file.")] = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.evaluate import evaluate
    from penjing.app.terminal import TerminalProgress, quality_table, show
    from penjing.core.errors import UsageError
    from penjing.core.recipe import resolve_recipe
    from penjing.data import DataRecipe

    if data is None and (recipe or sets):
        raise UsageError("--recipe and --set say how to read --data, and there is no --data", expected="--data SOURCE")
    columns = resolve_recipe(DataRecipe, recipe, sets or (), flags={"train": data}) if data is not None else None
    done = evaluate(model, store=store, data=data, columns=columns, report=report, progress=TerminalProgress())
    if as_json:
        result = done.judgement.result
        metrics = {key: figure.model_dump() for key, figure in result.metrics.items()}
        print_json({"model": done.bundle.reference, "source": done.source, "n": result.n, "metrics": metrics})
        return
    show(f"{done.bundle.reference} on {done.source}", quality_table(done.judgement.result, title=""))
    if report:
        show(f"Report: {report}")
