"""Where the time of a fine-tuning went, as a table for a person and as data for a program."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from penjing.train.profile import Profile


def profile_table(profile: Profile) -> Table:
    """Every part, the longest first."""
    table = Table(title="Where the time went", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("part", "seconds", "share"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for part in profile.parts():
        table.add_row(part.name, f"{part.seconds:.2f}", f"{part.share:.1%}")
    return table


def profile_lines(profile: Profile) -> list[str]:
    """Speed of the training steps, and how near it comes to the machine's."""
    if not profile.steps:
        return ["Too few steps were made to time them."]
    return [
        (
            f"{profile.steps:,} steps timed: {profile.tokens_per_s:,.0f} real tokens/s, "
            f"{profile.operations_per_s / 1e9:,.1f} GFLOP/s."
        ),
        f"A large matrix product here runs at {profile.bound / 1e9:,.1f} GFLOP/s: MFU {profile.utilisation:.0%}.",
    ]


def profile_facts(profile: Profile) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "parts": {part.name: round(part.seconds, 4) for part in profile.parts()},
        "steps": profile.steps,
        "tokens_per_s": profile.tokens_per_s,
        "flop_per_s": profile.operations_per_s,
        "matrix_product_flop_per_s": profile.bound,
        "mfu": profile.utilisation,
    }
