"""``penjing search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penjing.app.cli.options import JSON, RECIPE, SETS, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from penjing.app.search import Searched

_HELP = """Search for good values of some recipe keys by many fine-tunings, within a budget of minutes.

```console
penjing search --recipe search.yaml --to search-topics
penjing finetune --recipe search-topics/best.yaml
```

The recipe is one for fine-tuning with a section `search` besides: which keys vary between which values, and
how long. Trials are judged on the validation split, and given up early where they fall behind. Killed, or given
more minutes, the same command goes on.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("search", help=_HELP)(_search)


def _search(
    name: Annotated[str | None, typer.Option(help="Name of the model in the store, for the best recipe.")] = None,
    train: Annotated[str | None, typer.Option(help="Labelled training data: file, folder or data set name.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget of all trials together.")] = None,
    trials: Annotated[int | None, typer.Option(help="At most so many.")] = None,
    to: Annotated[Path, typer.Option(help="Directory of the search; one that is there goes on.")] = Path("search"),
    recipe: RECIPE = None,
    sets: SETS = None,
    as_json: JSON = False,
) -> None:
    from penjing.app.search import search
    from penjing.app.search_recipe import SearchRecipe
    from penjing.app.terminal import TerminalProgress, show
    from penjing.core.recipe import resolve_recipe

    flags = {"name": name, "data.train": train, "search.minutes": minutes, "search.trials": trials}
    told = resolve_recipe(SearchRecipe, recipe, sets or (), flags=flags)
    found = search(told, to=to, progress=TerminalProgress())
    if as_json:
        print_json(
            {"best": found.best.values, "metric": found.metric, "value": found.best.value, "trials": len(found.rows)}
            | {"recipe": str(to / "best.yaml"), "report": str(to / "search.html")}
        )
        return
    show(_table(found), f"Best recipe: {to / 'best.yaml'}. All trials: {to / 'search.html'}")


def _table(found: Searched) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from penjing.app.search import short

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    keys = sorted(found.best.values)
    for column in ("trial", found.metric, "seconds", *(key.rpartition(".")[2] for key in keys), "ended"):
        table.add_column(column, justify="left" if column == "ended" else "right")
    for row in sorted(found.rows, key=lambda row: (row.ended != "done", -(row.value or 0.0))):
        worth = f"{row.value:.4f}" if row.ended == "done" and row.value is not None else "—"
        values = [short(row.values.get(key)) for key in keys]
        told = f"{row.ended}: {row.reason}" if row.reason else row.ended
        table.add_row(str(row.number + 1), worth, f"{row.seconds:.0f}", *values, told)
    return table
