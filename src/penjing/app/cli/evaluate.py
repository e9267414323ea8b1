"""``penjing evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.app.cli.options import DEFAULT_STORE, JSON, MODEL, RECIPE, SETS, STORE, print_json

if TYPE_CHECKING:
    from penjing.app.evaluate import Evaluation
    from penjing.app.exact import ExactRecipe
    from penjing.data import DataRecipe

_HELP = """Judge a version on labelled text: accuracy, macro-F1, calibration, with 95 % intervals.

```console
penjing evaluate newsgroups/2
penjing evaluate topics --data fresh.csv --report fresh.html
penjing evaluate writer --data gsm8k.jsonl --exact --after '####'
```

Without --data it is the test split the version was made with. A recipe here is the data section of a
fine-tuning recipe (column names, encoding, delimiter …). --exact also asks a model that generates text, and
counts the answers that are the completion.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("evaluate", help=_HELP)(_evaluate)


def _evaluate(
    model: MODEL,
    data: Annotated[str | None, typer.Option(help="Labelled data: file, folder or data set name.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report to this file.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Count answers that are the completion.")] = False,
    after: Annotated[str | None, typer.Option(help="With --exact: compare what stands behind this.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="With --exact: tokens of an answer, 256 by default.")] = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.evaluate import evaluate
    from penjing.app.terminal import TerminalProgress, quality_table, show

    columns, answers = _columns(data, recipe, sets), _exact(exact, after, max_tokens)
    done = evaluate(
        model, store=store, data=data, columns=columns, report=report, exact=answers, progress=TerminalProgress()
    )
    if as_json:
        print_json(_plain(done))
        return
    where = "the test split" if data is None else "these examples"
    show(f"{done.bundle.reference} on {done.source}", quality_table(done.judgement.result, title="", on=where))
    if report:
        show(f"Report: {report}")


def _plain(done: Evaluation) -> dict[str, Any]:
    result = done.judgement.result
    metrics = {key: figure.model_dump() for key, figure in result.metrics.items()}
    return {"model": done.bundle.reference, "source": done.source, "n": result.n, "metrics": metrics}


def _columns(data: str | None, recipe: Path | None, sets: list[str] | None) -> DataRecipe | None:
    from penjing.core.errors import UsageError
    from penjing.core.recipe import resolve_recipe
    from penjing.data import DataRecipe

    if data is None and (recipe or sets):
        raise UsageError("--recipe and --set say how to read --data, and there is no --data", expected="--data SOURCE")
    return resolve_recipe(DataRecipe, recipe, sets or (), flags={"train": data}) if data is not None else None


def _exact(wanted: bool, after: str | None, max_tokens: int | None) -> ExactRecipe | None:
    from penjing.app.exact import ExactRecipe
    from penjing.core.errors import UsageError
    from penjing.core.recipe import check_recipe

    told = {name: value for name, value in (("after", after), ("max_tokens", max_tokens)) if value is not None}
    if told and not wanted:
        raise UsageError("--after and --max-tokens say how answers are compared", expected="--exact with them")
    return check_recipe(ExactRecipe, told, origin="the command line") if wanted else None
