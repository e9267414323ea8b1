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
BLOCK = re.compile(r"(<!-- result:begin(?: (\w+))? -->\n).*?(<!-- result:end -->)", re.DOTALL)
SPEED = {
    "seconds": ("time s", 0), "p50_ms": ("p50 ms", 1), "added_ms": ("added, ms", 2), "p99_ms": ("p99 ms", 1),
    "p50_us": ("p50 µs", 1), "p99_us": ("p99 µs", 1),
    "requests_per_s": ("requests/s", 0), "tokens_per_s": ("real tokens/s", 0), "peak_mib": ("peak MiB", 0),
    "served_mb": ("MB served", 1), "stored_mb": ("MB of checkpoint", 1),
}  # fmt: skip
METRICS = {"accuracy": "accuracy", "f1": "F1"}
QUALITY = {
    "bleu": ("BLEU", 100, 2), "chrf": ("chrF", 100, 2), "perplexity": ("perplexity", 1, 2),
    "accuracy": ("accuracy, %", 100, 1), "f1": ("F1, %", 100, 1), "agreement": ("same answers, %", 100, 1),
}  # fmt: skip
DIFFERENCE = {"perplexity": ("difference in log p a token", 1, 4)}  # of a metric; of others in points
BOUNDS = ("value", "low", "high")


def table(result: BenchmarkResult) -> str:
    """A run as Markdown."""
    columns = [key for key in SPEED if any(key in system.speed for system in result.systems)]
    agreeing = ["agrees with the first"] if any("agreement" in system.quality for system in result.systems) else []
    judged = ["accuracy"] if any("accuracy" in system.quality for system in result.systems) else []
    head = ["system", *judged, *agreeing, *(SPEED[key][0] for key in columns), "ratio"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for system in result.systems:
        cells = [f"**{system.name}**" if system.ours else system.name]
        cells += [_percent(system.quality.get("accuracy"))] if judged else []
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


def systems_table(results: list[BenchmarkResult]) -> str:
    """Runs of one kind as one table, a line a system; differences are from the first of a run."""
    metric = results[0].config["metric"]
    shown = [key for key in QUALITY if any(key in one.quality for result in results for one in result.systems)]
    columns = {key: QUALITY[key] for key in shown}
    if any("difference" in one.quality for result in results for one in result.systems):
        columns["difference"] = DIFFERENCE.get(metric, ("difference, points", 100, 2))
    lines = [f"| of | system | {' | '.join(title for title, *_ in columns.values())} |"]
    lines.append("|---|---|" + "---:|" * len(columns))
    for result in results:
        for place, system in enumerate(result.systems):
            name = f"**{system.name}**" if system.ours else system.name
            cells = [_scaled(system.quality.get(key), by, digits) for key, (_, by, digits) in columns.items()]
            lines.append(f"| {result.question if not place else ''} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + _measured(results, "those of differences taken pair by pair")


def front_table(results: list[BenchmarkResult]) -> str:
    """Runs of ``compression`` as one table, a line a system: what is kept of the teacher and gained over peers."""
    columns = "accuracy, %", "difference, points", "of the teacher's, %", "MB", "texts/s", "× padded", "× int8"
    lines = [f"| set | system | {' | '.join(columns)} |", "|---|---|" + "---:|" * len(columns)]
    for result in results:
        for place, system in enumerate(result.systems):
            cells = [
                _scaled(system.quality["accuracy"], 100, 1),
                _scaled(system.quality["difference"], 100, 2),
                _scaled(system.quality["kept"], 100, 1),
                _number(system.speed["served_mb"], 1),
                _number(system.speed["texts_per_s"], 0),
                "1" if system.ratio is None else _number(system.ratio, 1),
                _number(system.speed["over_int8"], 1),
            ]
            name = f"**{system.name}**" if system.ours else system.name
            lines.append(f"| {result.question if not place else ''} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + _measured(results, "those of differences taken text by text")


def kills_table(results: list[BenchmarkResult]) -> str:
    """Runs that were killed again and again, a line a way to be killed."""
    counts = {"kills": "kills", "resumed": "that met a saved state", "went_on": "after which more was done"}
    lines = [f"| run | killed | {' | '.join(counts.values())} | same weights |", "|---|---|" + "---:|" * 4]
    for result in results:
        same = "bit for bit" if result.config["same"] else "**no**"
        for place, system in enumerate(result.systems):
            cells = [_number(system.quality[key], 0) for key in counts]
            lines.append(f"| {result.question if not place else ''} | {system.name} | {' | '.join(cells)} | {same} |")
    return "\n".join(lines) + _measured(results, "of which there are none here")


def _measured(results: list[BenchmarkResult], intervals: str) -> str:
    last = max(results, key=lambda result: result.measured)
    commits = ", ".join(sorted({result.commit for result in results}))
    return (
        f"\n\nMeasured until {last.measured:%Y-%m-%d} on {last.machine}, at commits {commits}; brackets are 95 % "
        f"intervals, {intervals}.\n"
    )


def _scaled(figure: Measurement | None, by: float, digits: int) -> str:
    if figure is None:
        return ""
    bounds = {key: value * by for key in BOUNDS if (value := getattr(figure, key)) is not None}
    return _number(figure.model_copy(update=bounds), digits)


def of_block(topic: str, name: str | None) -> str:
    """What stands in a block of a topic's page."""
    results = [one for one in newest(topic) if one.config.get("table") == name]
    if not results:
        return ""
    if name is not None:
        return {"front": front_table, "kills": kills_table}.get(name, systems_table)(results)
    return quality_table(results) if topic == "quality" else "\n".join(table(result) for result in results)


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
        topic = page.parent.name
        text = page.read_text(encoding="utf-8")
        fresh = BLOCK.sub(lambda found: f"{found[1]}{of_block(topic, found[2])}{found[3]}", text)  # noqa: B023
        if fresh != text and "--check" in sys.argv:
            stale.append(str(page.relative_to(HERE.parent)))
        elif fresh != text:
            page.write_text(fresh, encoding="utf-8")
    for page_name in stale:
        print(f"{page_name} is not what its newest result says; run: python benchmarks/tables.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
