"""The report: one HTML file with everything measured about a model.

Promises: the file stands alone (no script, no font, no picture from elsewhere; its own policy
forbids them); labels and texts are escaped, whatever they hold; equal content gives equal bytes;
light and dark follow the reader's system. Trade: charts are drawn here rather than by a plotting
library, so that they share the page's fonts and colours and their text stays text.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from penjing.core.extras import require
from penjing.core.files import write_atomically
from penjing.core.nouns import Measurement
from penjing.evaluate import curves, plots
from penjing.evaluate.answers import AnswerResult
from penjing.evaluate.classification import ClassificationResult
from penjing.evaluate.content import ReportContent
from penjing.evaluate.svg import clean

_RATIOS = frozenset(
    {
        "accuracy",
        "macro_f1",
        "expected_calibration_error",
        "f1",
        "precision",
        "recall",
        "sentence_accuracy",
        "recall_at_1",
        "exact_match",
        "masked_accuracy",
        "has_answer_f1",
        "has_answer_exact_match",
        "no_answer_accuracy",
        "micro_f1",
        "micro_precision",
        "micro_recall",
        "subset_accuracy",
        "in_scope_accuracy",
        "out_of_scope_recall",
        "out_of_scope_precision",
        "bleu",
        "chrf",
        "same",
    }
)
_NAMES = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "expected_calibration_error": "Expected calibration error",
    "nll": "Negative log-likelihood",
    "brier": "Brier score",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "sentence_accuracy": "Sentence accuracy",
    "spearman": "Spearman's ρ",
    "mrr": "Mean reciprocal rank",
    "perplexity": "Perplexity",
    "log_likelihood": "Log-likelihood a token",
    "recall_at_1": "Recall at 1",
    "bleu": "BLEU",
    "chrf": "chrF",
    "same": "Same as the reference",
    "exact_match": "Exact match",
    "masked_accuracy": "Accuracy at masks",
    "has_answer_f1": "F1 where there is an answer",
    "has_answer_exact_match": "Exact match where there is an answer",
    "no_answer_accuracy": "Accuracy where there is none",
    "micro_f1": "Micro-F1",
    "micro_precision": "Micro-precision",
    "micro_recall": "Micro-recall",
    "subset_accuracy": "Subset accuracy",
    "r2": "R²",
    "pearson": "Pearson's r",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "in_scope_accuracy": "Accuracy in scope",
    "out_of_scope_recall": "Recall of what is out of scope",
    "out_of_scope_precision": "Precision of what is called out of scope",
    "out_of_scope_auroc": "Area under the ROC curve, out of scope against in",
}


def write_report(path: Path, content: ReportContent) -> None:
    """Write ``content`` as HTML to ``path``: whole or not at all.

    Raises:
        ResourceError: jinja2 is not installed (extra ``report``), or the disk refuses.
    """
    write_atomically(path, render_report(content).encode("utf-8", errors="replace"))


def render_report(content: ReportContent) -> str:
    """The report as HTML.

    Raises:
        ResourceError: jinja2 is not installed (extra ``report``).
    """
    jinja2 = require("jinja2", extra="report")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    markup = require("markupsafe", extra="report").Markup
    charts = {name: markup(chart) for name, chart in draw_charts(content).items()}
    return str(environment.get_template("report.html.j2").render(content=content, charts=charts))


def draw_charts(content: ReportContent) -> dict[str, str]:
    """Every chart that the content has data for, name → SVG markup."""
    charts: dict[str, str] = {}
    quality = content.quality
    if isinstance(quality, ClassificationResult):
        charts["confusion"] = plots.confusion_map(quality)
    if isinstance(quality, ClassificationResult | AnswerResult):
        charts["reliability"] = plots.reliability_diagram(quality)
    if quality and quality.per_class:
        charts["class_f1"] = plots.class_f1_bars(quality.per_class, quality.metrics["macro_f1"])
    if content.learning and content.learning.train:
        charts["loss"] = curves.loss_curve(content.learning)
    if content.learning and any(point.accuracy is not None for point in content.learning.validation):
        charts["accuracy"] = curves.accuracy_curve(content.learning)
    if content.comparison and any(c.lost or c.gained for c in content.comparison.result.per_class):
        charts["changes"] = plots.class_changes(content.comparison.result.per_class)
    if curves.drawable(content.systems):
        charts["trade_off"] = curves.trade_off(content.systems, metric_name(content.metric))
    return charts


def _template(name: str) -> str:
    return (resources.files("penjing.evaluate") / "templates" / name).read_text(encoding="utf-8")


def amount(value: float) -> str:
    """A number with three figures or more, thousands apart."""
    if value and abs(value) < 0.1:
        return f"{value:.2g}"
    decimals = next((places for places, least in enumerate((100, 10, 1)) if abs(value) >= least), 3)
    return f"{value:,.{decimals}f}"


def share(value: float) -> str:
    """A share in per cent with two decimals."""
    return f"{100 * value:.2f} %"


def points(value: float) -> str:
    """A difference of shares in percentage points, signed."""
    return f"{100 * value:+.2f}".replace("-", "−")


def interval(measured: Measurement | None, write: Callable[[float], str] = amount) -> str:
    """The bounds of a measurement as written by ``write``, or nothing."""
    if measured is None or measured.low is None or measured.high is None:
        return ""
    return f"{write(measured.low)} to {write(measured.high)}".replace(" % to", " to")


def metric_name(name: str) -> str:
    """What to call a metric."""
    return _NAMES.get(name, name.replace("_", " "))


def _metric(measured: Measurement, name: str) -> str:
    return share(measured.value) if name in _RATIOS else f"{amount(measured.value)} {measured.unit}".strip()


def _metric_interval(measured: Measurement, name: str) -> str:
    return interval(measured, share if name in _RATIOS else amount)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"


_FILTERS: dict[str, Callable[..., Any]] = {
    "amount": amount,
    "share": share,
    "points": points,
    "interval": interval,
    "share_interval": lambda measured: interval(measured, share),
    "points_interval": lambda measured: interval(measured, points),
    "metric": _metric,
    "metric_interval": _metric_interval,
    "metric_name": metric_name,
    "lower_first": lambda name: name if name[:2].isupper() or name[1:2].isdigit() else name[:1].lower() + name[1:],
    "size": _size,
    "clean": clean,
}
