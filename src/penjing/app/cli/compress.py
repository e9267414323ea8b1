"""``penjing compress``."""

from __future__ import annotations

from typing import Annotated

import typer

from penjing.app.cli.options import (
    DEFAULT_STORE,
    JSON,
    MODEL_UNLESS_RECIPE,
    RECIPE,
    SETS,
    STORE,
    print_json,
    version_facts,
)

_HELP = """Say what may be lost and what must be gained: the fastest smaller version that keeps both, or a refusal.

```console
penjing compress newsgroups/1 --max-drop 0.02 --min-speedup 3
```

Tokens that no text needs go, students of fewer layers and one of none learn from the model, each is tried in int8 too,
and the cheapest cascade of them. All are judged on the whole test split and measured through the server; promises are
kept by the lower end of the intervals.
Exit status 1, no new version and a list of what was found if none keeps the contract. Killed, it goes on.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("compress", help=_HELP)(_compress)


def _compress(
    model: MODEL_UNLESS_RECIPE = None,
    max_drop: Annotated[float | None, typer.Option(help="Accuracy (F1, …) that may be lost, as a share: 0.02.")] = None,
    min_speedup: Annotated[float | None, typer.Option(help="Requests a second, as a multiple of the model's.")] = None,
    max_mb: Annotated[float | None, typer.Option(help="Megabytes that serving may load.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new version; the model's own by default.")] = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.compress import compress
    from penjing.app.smaller_recipes import CompressCommand
    from penjing.app.terminal import TerminalProgress, change_line, show, speed_table
    from penjing.core.recipe import resolve_recipe

    flags = {"model": model, "max_drop": max_drop, "min_speedup": min_speedup, "max_mb": max_mb, "name": name}
    command = resolve_recipe(CompressCommand, recipe, sets or (), flags=flags)
    done = compress(command, store=store, progress=TerminalProgress())
    if as_json:
        print_json(version_facts(done.bundle))
        return
    (metric,) = done.chosen.change.differences
    show(
        speed_table(done.systems, title="Through the server, in turns", metric=metric),
        change_line(done.chosen.change, done.chosen.name),
        f"Registered {done.bundle.reference}. Report: {done.bundle.path / 'report.html'}",
    )
