"""Write the tables of ``benchmarks/*/README.md`` from the newest results: never by hand.

python benchmarks/tables.py          write
python benchmarks/tables.py --check  fail if any table is not what its result says
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from penjing.core.nouns import Measurement
from result import BenchmarkResult, newest

HERE = Path(__file__).parent
BLOCK = re.compile(r"(<!-- result:begin -->\n).*?(<!-- result:end -->)", re.DOTALL)
SPEED = {
    "seconds": ("time s", 0), "p50_ms": ("p50 ms", 1), "p99_ms": ("p99 ms", 1),
    "requests_per_s": ("requests/s", 0), "tokens_per_s": ("real tokens/s", 0), "peak_mib": ("peak MiB", 0),
}  # fmt: skip
METRICS = {"accuracy": "accuracy", "f1": "F1"}
BOUNDS = ("value", "low", "high")


def table(result: BenchmarkResult) -> str:
    """A run as Markdown."""
    columns = [key for key in SPEED if any(key in system.speed for system in result.systems)]
    agreeing = ["agrees with the first"] if any("agreement" in system.quality for system in result.systems) else []
    head = ["system", "accuracy", *agreeing, *(SPEED[key][0] for key in columns), "ratio"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for system in result.systems:
        cells = [f"**{system.name}**" if system.ours else system.name, _percent(system.quality.get("accuracy"))]
        cells += [_percent(system.quality.get("agreement"))] if agreeing else []
        cells += [_number(system.speed.get(key), SPEED[key][1]) for key in columns]
        cells.append("1" if system.ratio is None else _number(system.ratio, 2) + " ×")
        lines.append("| " + " | ".join(cells) + " |")
    notes = "".join(f"- {note}\n" for note in result.notes)
    return (
        f"{result.question}\n\n" + "\n".join(lines) + "\n\n"
        f"Measured {result.measured:%Y-%m-%d} on {result.machine} at commit {result.commit}; "
        f"brackets are 95 % intervals.\n\n{notes}"
    )


def quality_table(results: list[BenchmarkResult]) -> str:
    """Runs of the benchmark ``quality`` as one table, a line a set."""
    lines = ["| set | measured by | Trainer | Penjing | difference, points | rows taught / asked | seeds |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|")
    for result in results:
        (trainer, penjing), config = result.systems, result.config
        metric = config["metric"]
        gained = penjing.quality["difference"]
        cells = [
            result.question,
            METRICS.get(metric, metric),
            _percent(trainer.quality[metric]),
            f"**{_percent(penjing.quality[metric])}**",
            _number(gained.model_copy(update={key: 100 * (getattr(gained, key) or 0) for key in BOUNDS}), 1),
            f"{config['train_rows']:,} / {config['test_rows']:,}",
            str(len(config["seeds"])),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    newest_of_all = max(results, key=lambda result: result.measured)
    return (
        "\n".join(lines)
        + f"\n\nMeasured until {newest_of_all.measured:%Y-%m-%d} on {newest_of_all.machine}, at commits "
        f"{', '.join(sorted({result.commit for result in results}))}; brackets are 95 % intervals of one test split "
        "(means over the seeds), those of the difference of answers pair by pair.\n"
    )


def _percent(figure: Measurement | None) -> str:
    if figure is None:
        return "—"
    spread = f" [{figure.low * 100:.1f}, {figure.high * 100:.1f}]" if figure.low is not None and figure.high else ""
    return f"{figure.value * 100:.1f} %{spread}"


def _number(figure: Measurement | None, digits: int) -> str:
    if figure is None:
        return "—"
    spread = ""
    if figure.low is not None and figure.high is not None:
        spread = f" [{figure.low:,.{digits}f}, {figure.high:,.{digits}f}]"
    return f"{figure.value:,.{digits}f}{spread}"


def main() -> int:
    """Exit status 1 if ``--check`` finds a stale table."""
    stale = []
    for page in sorted(HERE.glob("*/README.md")):
        results = newest(page.parent.name)
        of_quality = page.parent.name == "quality" and results
        tables = quality_table(results) if of_quality else "\n".join(table(result) for result in results)
        text = page.read_text(encoding="utf-8")
        fresh = BLOCK.sub(lambda found: f"{found[1]}{tables}{found[2]}", text)  # noqa: B023
        if fresh != text and "--check" in sys.argv:
            stale.append(str(page.relative_to(HERE.parent)))
        elif fresh != text:
            page.write_text(fresh, encoding="utf-8")
    for page_name in stale:
        print(f"{page_name} is not what its newest result says; run: python benchmarks/tables.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
