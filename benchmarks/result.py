"""What a benchmark leaves behind: one JSON file a run, of one form, from which all tables are made.

A figure without its machine, commit, configuration and peer is not a result. Peers are measured
in the same run, in turns with ours; every speed stands beside the quality it was had at.
"""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from penjing.core.files import write_atomically
from penjing.core.machine import Machine, describe_machine
from penjing.core.nouns import Frozen, Measurement


class SystemResult(Frozen):
    """One system in a run.

    Attributes:
        name: what it is, as the table shows it.
        ours: whether it is Penjing.
        settings: how it was tuned, so that others can judge whether it was tuned well.
        quality: accuracy and the like, with intervals.
        speed: p50_ms, p99_ms, requests_per_s, tokens_per_s, seconds … with intervals.
        ratio: its main speed figure over the first system's, by rounds; None for the first.
    """

    name: str
    ours: bool
    settings: dict[str, Any] = Field(default_factory=dict)
    quality: dict[str, Measurement] = Field(default_factory=dict)
    speed: dict[str, Measurement] = Field(default_factory=dict)
    ratio: Measurement | None = None


class BenchmarkResult(Frozen):
    """One run of one benchmark.

    Attributes:
        topic: the folder it belongs to.
        question: what was asked, in a sentence.
        config: data, sizes, seeds, warm-up, rounds.
        notes: what a reader must know to judge the figures.
    """

    schema_version: int = 1
    topic: str
    question: str
    measured: datetime
    commit: str
    machine: Machine
    config: dict[str, Any]
    systems: tuple[SystemResult, ...]
    notes: tuple[str, ...] = ()


def finish(
    topic: str, question: str, *, config: dict[str, Any], systems: list[SystemResult], notes: tuple[str, ...] = ()
) -> BenchmarkResult:
    """Stamp a run with time, commit and machine, and write it under ``results/``."""
    result = BenchmarkResult(
        topic=topic,
        question=question,
        measured=datetime.now(UTC),
        commit=_commit(),
        machine=describe_machine(),
        config=config,
        systems=tuple(systems),
        notes=notes,
    )
    path = Path(__file__).parent / topic / "results" / f"{result.measured:%Y%m%dT%H%M%SZ}.json"
    write_atomically(path, (result.model_dump_json(indent=1) + "\n").encode())
    return result


def newest(topic: str) -> list[BenchmarkResult]:
    """The latest run of each question that a benchmark was asked, in the order they were first asked."""
    found: dict[str, BenchmarkResult] = {}
    for file in sorted((Path(__file__).parent / topic / "results").glob("*.json")):
        result = BenchmarkResult.model_validate_json(file.read_bytes())
        found[result.question] = result
    return list(found.values())


def _commit() -> str:
    """Of the code that ran; what an earlier run wrote, results and tables, does not count."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude,glob)**/*.md")
    told = _git("rev-parse", "--short", "HEAD") or "unknown"
    return f"{told}-dirty" if changed else told


def _git(*words: str) -> str:
    here = Path(__file__).parent
    return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False).stdout.strip()
