"""``penjing simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from penjing.app.cli.options import JSON, RECIPE, SETS, print_json

_HELP = """Try the policies of a gateway on made or recorded traffic, without servers. Seconds instead of days.

```console
penjing simulate --replicas 8 --load 0.8
penjing simulate --server http://localhost:8501 --model topics --trace requests.jsonl
penjing simulate --recipe recipes/simulate.yaml --plot tails.svg
```

The policies are the gateway's own classes; the replicas only count time: base_ms for each request and ms_per_token for
each token, given, or measured on a running server with --server and --model. Prints for each policy what half, 99 %
and 99.9 % of the requests stay under, best first. The same seed gives the same figures.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("simulate", help=_HELP)(_simulate)


def _simulate(
    replicas: Annotated[int | None, typer.Option(help="How many; 4 by default.")] = None,
    load: Annotated[float | None, typer.Option(help="Share of what they can do that is asked; 0.8 by default.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Recorded requests as JSON lines of at_s and tokens.")] = None,
    policies: Annotated[list[str] | None, typer.Option("--policy", help="Only this one. May be repeated.")] = None,
    server: Annotated[str | None, typer.Option(metavar="URL", help="Measure service times on this server.")] = None,
    model: Annotated[str | None, typer.Option(help="The model that is asked there.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of made traffic, and of policies that draw lots.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the latencies into this SVG file.")] = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    as_json: JSON = False,
) -> None:
    from penjing.app.simulating import simulate, simulation_table
    from penjing.app.terminal import show
    from penjing.core.errors import UsageError
    from penjing.core.recipe import resolve_recipe
    from penjing.fleet.simulation import SimulateRecipe
    from penjing.fleet.simulation.measuring import service_times

    if (server is None) != (model is None):
        raise UsageError("--server and --model go together", expected="both, to measure service times, or neither")
    flags: dict[str, Any] = {"replicas": replicas, "traffic.load": load, "traffic.trace": trace, "seed": seed}
    flags["policies"] = policies or None
    if server and model:
        flags["base_ms"], flags["ms_per_token"] = service_times(server, model)
    told = resolve_recipe(SimulateRecipe, recipe, sets or (), flags=flags)
    rows = simulate(told, plot=plot)
    if as_json:
        print_json({"recipe": told.model_dump(mode="json"), "policies": rows})
    else:
        show(simulation_table(rows, told))
