"""A search as one HTML file: the best over the trials, each key against what came of it, and every trial in a table."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from penjing.core.files import write_atomically
from penjing.evaluate.svg import Axis, Drawing, Scale, draw_axes

_WIDTH, _HEIGHT = 500.0, 330.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 72.0, 480.0, 44.0, 270.0
_LOG_FROM = 20.0  # the largest value over the smallest


@dataclass(frozen=True, slots=True)
class TrialPoint:
    """A trial.

    Attributes:
        number: from 1.
        ended: how, in a word.
        value: what is made large; None of one that did not come to its end.
        seconds: that it took.
        values: key → value.
    """

    number: int
    ended: str
    value: float | None
    seconds: float
    values: Mapping[str, object]


def write_search_page(path: Path, points: Sequence[TrialPoint], *, title: str, metric: str) -> None:
    """Write the page: whole or not at all.

    Raises:
        ResourceError: the disk refuses.
    """
    write_atomically(path, search_page(points, title=title, metric=metric).encode("utf-8", errors="replace"))


def search_page(points: Sequence[TrialPoint], *, title: str, metric: str) -> str:
    """The page as HTML; no script, nothing from elsewhere."""
    style = (resources.files("penjing.evaluate") / "templates" / "report.css").read_text(encoding="utf-8")
    keys = sorted({key for point in points for key in point.values})
    charts = [over_trials(points, metric=metric), *(against(points, key, metric=metric) for key in keys)]
    figures = "\n".join(f"<figure>{chart}</figure>" for chart in charts)
    name = html.escape(f"Search: {title}")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{name}</title>\n'
        f"<style>\n{style}\n</style>\n</head>\n<body>\n<main>\n<h1>{name}</h1>\n<p>{_summary(points, metric)}</p>\n"
        f"{figures}\n{_table(points, keys, metric)}\n</main>\n</body>\n</html>\n"
    )


def over_trials(points: Sequence[TrialPoint], *, metric: str) -> str:
    """Each trial's value, and the best so far as a line."""
    done = [(float(point.number), point.value) for point in points if point.value is not None]
    drawing = Drawing(_WIDTH, _HEIGHT, title="Trials in their order", about="A point a trial, the best so far a line")
    x = Axis(Scale(0.0, max(point.number for point in points) + 1.0, _LEFT, _RIGHT), "trial", lambda v: f"{v:.0f}")
    y = Axis(_around([value for _, value in done]), metric, _short)
    draw_axes(drawing, x, y)
    best, steps = -math.inf, []
    for number, value in done:
        best = max(best, value)
        steps.append((x.scale(number), y.scale(best)))
    drawing.curve(steps, css="trend")
    for number, value in done:
        drawing.dot((x.scale(number), y.scale(value)), 4, css="point", tip=f"trial {number:.0f}: {value:.4f}")
    return drawing.markup()


def against(points: Sequence[TrialPoint], key: str, *, metric: str) -> str:
    """What came of a trial, against one of its values; values that are no numbers stand side by side."""
    done = [(point.values.get(key), point.value, point.number) for point in points if point.value is not None]
    drawing = Drawing(_WIDTH, _HEIGHT, title=key, about=f"A point a trial: {metric} against {key}")
    given = [value for value, *_ in done]
    numbers = [float(v) for v in given if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(given) or not numbers:
        names = sorted({str(value) for value in given})
        places = [float(names.index(str(value))) for value in given]
        x = Axis(Scale(-0.5, max(len(names), 1) - 0.5, _LEFT, _RIGHT), key, lambda v: _named(names, v))
    else:
        is_log = min(numbers) > 0 and max(numbers) / min(numbers) > _LOG_FROM
        places = [math.log10(number) for number in numbers] if is_log else numbers
        written = (lambda v: _short(10**v)) if is_log else _short
        x = Axis(_around(places, start=_LEFT, end=_RIGHT), key, written)
    y = Axis(_around([value for _, value, _ in done]), metric, _short)
    draw_axes(drawing, x, y)
    for place, (value, worth, number) in zip(places, done, strict=True):
        tip = f"trial {number}: {key} {value}, {worth:.4f}"
        drawing.dot((x.scale(place), y.scale(worth)), 4, css="point", tip=tip)
    return drawing.markup()


def _summary(points: Sequence[TrialPoint], metric: str) -> str:
    kinds = [point.ended for point in points]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    best = max((point for point in points if point.value is not None), key=lambda p: p.value or 0.0, default=None)
    told = f" Best: trial {best.number} with {metric} {best.value:.4f}." if best else ""
    seconds = sum(point.seconds for point in points)
    return html.escape(f"{len(points)} trials ({counts}) in {seconds / 60:.1f} minutes.{told}")


def _table(points: Sequence[TrialPoint], keys: Sequence[str], metric: str) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("trial", metric, "ended", "seconds", *keys))
    rows = []
    for point in sorted(points, key=lambda p: (p.value is None, -(p.value or 0.0), p.number)):
        worth = "—" if point.value is None else f"{point.value:.4f}"
        cells = [str(point.number), worth, point.ended, f"{point.seconds:.0f}"]
        cells += [_written(point.values.get(key)) for key in keys]
        rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"


def _around(values: Sequence[float], *, start: float = _BOTTOM, end: float = _TOP) -> Scale:
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    return Scale(low - margin, high + margin, start, end)


def _named(names: Sequence[str], place: float) -> str:
    at = round(place)
    return names[at] if abs(place - at) < 1e-9 and 0 <= at < len(names) else ""


def _short(value: float) -> str:
    return f"{value:.3g}"


def _written(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "—" if value is None else str(value)
