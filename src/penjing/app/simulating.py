"""Policies compared in a simulation: the table, and the drawing of their tails."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from penjing.core.files import write_atomically
from penjing.evaluate.svg import Axis, Drawing, Scale, draw_axes
from penjing.fleet.simulation import Outcome, SimulateRecipe, arrivals_of, percentile
from penjing.fleet.simulation import simulate as try_policy

_COLOURS = ("#4269d0", "#efb118", "#ff725c", "#3ca951", "#a463f2", "#9c6b4e", "#6cc5b0")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600}.grid{stroke:#ddd}.axis{stroke:#888}"
    "polyline{fill:none;stroke-width:2}" + "".join(f".l{i}{{stroke:{c}}}" for i, c in enumerate(_COLOURS))
)
_WIDTH, _HEIGHT = 720, 420
_NINES = 3  # the axis goes to 99.9 %


def simulate(recipe: SimulateRecipe, *, plot: Path | None = None) -> list[dict[str, float | str]]:
    """Try each policy of a recipe on the same traffic.

    Args:
        recipe: the fleet, the policies and the traffic.
        plot: an SVG file for the latencies up to the last thousandth; None draws none.

    Returns:
        A row a policy, best p99 first: requests, mean_ms, p50_ms, p99_ms, p99_9_ms, wait_ms, busy_s, replica_s, busiest
        and idlest (shares of the time in which a replica worked).

    Raises:
        DataError: the trace cannot be read.
    """
    traffic = arrivals_of(recipe)
    outcomes = [try_policy(recipe, name, traffic) for name in recipe.policies]
    outcomes.sort(key=lambda one: percentile(sorted(one.latencies_ms), 99))
    if plot is not None:
        write_atomically(plot, _drawn(outcomes).encode())
    return [one.facts() for one in outcomes]


def simulation_table(rows: Sequence[Mapping[str, float | str]], recipe: SimulateRecipe) -> Table:
    """What :func:`simulate` found, for a person."""
    title = f"{recipe.replicas} replicas, {recipe.base_ms:.3g} ms a request and {recipe.ms_per_token:.3g} ms a token"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("policy", no_wrap=True)
    for name in ("p50 ms", "p99 ms", "p99.9 ms", "mean ms", "waiting ms", "busy", "replica-seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        times = [f"{row[key]:,.1f}" for key in ("p50_ms", "p99_ms", "p99_9_ms", "mean_ms", "wait_ms")]
        busy = f"{row['idlest']:.0%} to {row['busiest']:.0%}"
        table.add_row(str(row["policy"]), *times, busy, f"{row['replica_s']:,.0f}")
    return table


def _drawn(outcomes: Sequence[Outcome]) -> str:
    curves = [list(_curve(one)) for one in outcomes]
    highest = max(ms for curve in curves for _, ms in curve)
    lowest = max(1e-3, min(ms for curve in curves for _, ms in curve))
    drawing = Drawing(
        _WIDTH,
        _HEIGHT,
        title="Latency by policy",
        about="How many milliseconds each share of requests takes, for each policy; both scales are logarithmic.",
    )
    low, high = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    x = Axis(Scale(0, _NINES, 70, _WIDTH - 170), "share of requests that are faster", _share, _NINES)
    y = Axis(Scale(low, max(high, low + 1), _HEIGHT - 60, 40), "milliseconds", lambda v: f"{10**v:g}", high - low)
    draw_axes(drawing, x, y)
    for index, (outcome, curve) in enumerate(zip(outcomes, curves, strict=True)):
        drawing.curve([(x.scale(nines), y.scale(math.log10(max(ms, lowest)))) for nines, ms in curve], css=f"l{index}")
        height = 60 + 20 * index
        drawing.line((_WIDTH - 155, height - 4), (_WIDTH - 135, height - 4), css=f"l{index}")
        drawing.text((_WIDTH - 130, height), outcome.policy)
    size = 'xmlns="http://www.w3.org/2000/svg" style="background:#fff"'
    start, rest = drawing.markup().split(">", 1)
    return f"{start.replace('<svg', f'<svg {size}', 1)}><style>{_STYLE}</style>{rest}\n"


def _curve(outcome: Outcome) -> Iterator[tuple[float, float]]:
    """Points of nines (1 is 90 %, 2 is 99 %) and milliseconds."""
    ordered = sorted(outcome.latencies_ms)
    for step in range(_NINES * 40 + 1):
        nines = step / 40
        yield nines, percentile(ordered, 100 * (1 - 10**-nines))


def _share(nines: float) -> str:
    return f"{100 * (1 - 10**-nines):.6g} %"
