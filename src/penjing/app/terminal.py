"""Progress and tables for people at a terminal. Plain lines where the output is not one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from penjing.app.conformance import Report
from penjing.core.nouns import Measurement
from penjing.core.progress import Stage
from penjing.evaluate import COSINE, Change, EmbeddingChange, NumbersChange, Quality, SystemRow

if TYPE_CHECKING:  # a table on the screen should not load what trains
    from penjing.app.finishing import Finished

_PLAIN_EVERY_S = 15.0
_PLAIN_WIDTH = 120


class TerminalProgress:
    """Bars with the loss, real tokens a second and the time left; on standard error.

    Where standard error is no terminal (a log, a pipe), a line every 15 seconds instead.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """Print one line of news."""
        self._console.print(line, markup=False)

    @contextmanager
    def stage(self, name: str, *, total: float) -> Iterator[Stage]:
        """A bar of ``total`` units."""
        if not self._console.is_terminal:
            yield _PlainStage(self._console, name, total)
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[facts]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self._console) as bars:
            yield _BarStage(bars, bars.add_task(name, total=total, facts=""))


class _BarStage:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, amount: float = 1, **facts: float) -> None:
        self._bars.advance(self._task, amount)
        if facts:
            self._bars.update(self._task, facts=_facts(facts))


class _PlainStage:
    def __init__(self, console: Console, name: str, total: float) -> None:
        self._console, self._name, self._total = console, name, max(total, 1e-9)
        self._done, self._begun, self._said = 0.0, time.monotonic(), time.monotonic()

    def advance(self, amount: float = 1, **facts: float) -> None:
        self._done += amount
        now, ended = time.monotonic(), self._done >= self._total
        if not ended and now - self._said < _PLAIN_EVERY_S:
            return
        self._said = now
        spent = now - self._begun
        left = "" if ended else f", {spent * (self._total / max(self._done, 1e-9) - 1):.0f} s left"
        self._console.print(
            f"  {self._name}: {self._done / self._total:.0%}, {spent:.0f} s{left}  {_facts(facts)}".rstrip(),
            markup=False,
        )


def _facts(facts: dict[str, float]) -> str:
    shown = {"loss": lambda value: f"loss {value:.3f}", "tokens_per_s": lambda value: f"{value:,.0f} tokens/s"}
    return " · ".join(shown[name](value) if name in shown else f"{name} {value:.4g}" for name, value in facts.items())


def percent(figure: Measurement | None) -> str:
    """A share as a percentage with its interval."""
    if figure is None:
        return "—"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.1%}"
    return f"{figure.value:.1%} [{figure.low * 100:.1f}, {figure.high * 100:.1f}]"


def number(figure: Measurement) -> str:
    """A figure that is no share, with its interval."""
    if figure.low is None or figure.high is None:
        return f"{figure.value:.4f}"
    return f"{figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]"


def score(figure: Measurement | None, metric: str) -> str:
    """A measure of quality with its interval: a percentage where it is a share."""
    return percent(figure) if figure is None or metric in _SHARES else number(figure)


def headline(metrics: Mapping[str, Measurement]) -> str:
    """The measure of quality that a version goes by, without its interval; a dash where it has none."""
    metric = next((name for name in _HEADLINES if name in metrics), None)
    return "—" if metric is None else f"{score(metrics[metric], metric).split(' ')[0]} {metric}"


def change_line(changed: Change, form: str = "int8") -> str:
    """What a new form of a model changed, in a sentence."""
    ((metric, difference),) = changed.differences.items()
    asked = "pairs" if isinstance(changed, EmbeddingChange) and changed.metric != COSINE else "texts"
    lost = f"On {changed.n:,} test {asked} {form} changes {metric} by {score(difference, metric)}"
    if isinstance(changed, EmbeddingChange):
        return f"{lost}; the mean cosine of its vectors and those of fp32 is {number(changed.agreement)}."
    if isinstance(changed, NumbersChange):
        return f"{lost}; its numbers are {number(changed.apart)} from those of fp32 in the mean."
    return f"{lost} and agrees on {percent(changed.agreement)}."


def plain(figure: Measurement | None, digits: int = 1) -> str:
    """A figure without its interval."""
    return "—" if figure is None else f"{figure.value:,.{digits}f}"


_SHARES = {
    "accuracy": "accuracy", "f1": "F1", "exact_match": "exact match", "has_answer_f1": "F1, with an answer",
    "has_answer_exact_match": "exact match, with an answer", "no_answer_accuracy": "accuracy, without an answer",
    "precision": "precision", "recall": "recall", "macro_f1": "macro-F1",
    "sentence_accuracy": "sentence accuracy", "expected_calibration_error": "calibration error (ECE)",
    "recall_at_1": "recall at 1", "micro_f1": "micro-F1", "subset_accuracy": "subset accuracy",
    "micro_precision": "micro-precision", "micro_recall": "micro-recall", "masked_accuracy": "accuracy at masks",
    "in_scope_accuracy": "accuracy in scope", "out_of_scope_recall": "recall out of scope",
    "out_of_scope_precision": "precision out of scope", "bleu": "BLEU", "chrf": "chrF", "same": "same as the reference",
}  # fmt: skip
_HEADLINES = ("accuracy", "f1", "micro_f1", "r2", "spearman", "mrr", "bleu", "masked_accuracy", "perplexity")
_NUMBERS = {
    "r2": "R²", "pearson": "Pearson's r", "spearman": "Spearman's ρ", "mae": "mean absolute error",
    "rmse": "root mean squared error", "mrr": "mean reciprocal rank", "perplexity": "perplexity",
    "log_likelihood": "log-likelihood a token", "out_of_scope_auroc": "AUROC out of scope",
}  # fmt: skip


def quality_table(result: Quality, *, title: str, on: str = "the test split") -> Table:
    """The scores of a model, and on what they were measured."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"measured on {on}")
    table.add_column("value [95 % interval]", justify="right")
    for key, name in _SHARES.items():
        if key in result.metrics:
            table.add_row(name, percent(result.metrics[key]))
    for key, name in _NUMBERS.items():
        if key in result.metrics:
            table.add_row(name, number(result.metrics[key]))
    if "nll" in result.metrics:
        table.add_row("negative log-likelihood", plain(result.metrics["nll"], 3))
    counted = {"embeddings": "pairs" if result.metrics else "texts", "answers": "questions"}
    table.add_row(counted.get(result.kind, "texts"), f"{result.n:,}")
    return table


def speed_table(rows: Sequence[SystemRow], *, title: str, metric: str = "accuracy") -> Table:
    """Systems measured side by side; the first is what the ratios refer to."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("system", no_wrap=True)
    for name in ((_SHARES | _NUMBERS).get(metric, metric), "MB", "p50 ms", "p99 ms", "requests/s", "tokens/s", "×"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        size = "—" if row.size_mb is None else f"{row.size_mb:.0f}"
        few = f" (n={row.quality.n})" if row.quality and row.quality.n < (rows[-1].quality or row.quality).n else ""
        table.add_row(
            row.name, score(row.quality, metric).split(" ")[0] + few, size, plain(row.p50_ms), plain(row.p99_ms),
            plain(row.requests_per_s, 0), plain(row.tokens_per_s, 0),
            "1.00" if row.ratio is None else plain(row.ratio, 2),
        )  # fmt: skip
    return table


def conformance_table(report: Report) -> Table:
    """What each client found."""
    title = f"{report.url}, model {report.model}: {report.count('passed')} passed, {report.count('failed')} failed"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("client", "version", "check", "outcome"):
        table.add_column(name, overflow="fold")
    former = ""
    for one in report.outcomes:
        told = f"{one.state}: {one.reason}" if one.reason else one.state
        repeated = one.client == former
        table.add_row("" if repeated else one.client, "" if repeated else one.version, one.check, escape(told))
        former = one.client
    return table


def show(*tables: Table | str) -> None:
    """Print tables and lines to standard output."""
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    for table in tables:
        if isinstance(table, str):
            console.print(table, markup=False, soft_wrap=True)  # a path broken in two cannot be copied
        else:
            console.print(table)


def show_smaller(done: Finished, *, called: str) -> None:
    """What came of making a version smaller: speed, what changed against the old one, and where the report is."""
    if done.systems:
        show(speed_table(done.systems, title="Through the server, in turns", metric=done.judgement.metric))
    if done.change:
        show(change_line(done.change, called))
    show(f"Registered {done.bundle.reference}. Report: {done.bundle.path / 'report.html'}")
