"""The report's charts of a classifier, each from plain data to SVG markup.

Promise: every chart has a title, axes with units, and its words beside what they name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penjing.core.nouns import Measurement
from penjing.evaluate.answers import AnswerResult
from penjing.evaluate.calibration import ReliabilityBin
from penjing.evaluate.classification import ClassificationResult
from penjing.evaluate.confusion import ClassFigures
from penjing.evaluate.intervals import wilson
from penjing.evaluate.paired import ClassChange
from penjing.evaluate.svg import Axis, Drawing, Point, Scale, draw_axes, round_step, text_px

LABEL_COLUMNS = 28  # longer class names are cut; the whole name shows on hover


def percent(value: float) -> str:
    """A share in per cent with one decimal."""
    return f"{100 * value:.1f} %"


def confusion_map(result: ClassificationResult) -> str:
    """Confusion matrix: a row a target, a column a prediction.

    Hits and errors have two hues; strength is the share of the row's examples, on a square-root
    scale so that rare errors still show. Counts are printed up to 40 classes, beyond that on hover.
    """
    grid = _Grid.of(result.labels)
    drawing = Drawing(
        grid.left + grid.side + 16,
        grid.top + grid.side + grid.foot,
        title="Confusion matrix (test examples)",
        about=f"{len(result.labels)} classes, {result.n} examples, "
        f"accuracy {percent(result.metrics['accuracy'].value)}",
    )
    drawing.box((grid.left, grid.top), (grid.side, grid.side), css="field")
    for index, label in enumerate(result.labels):
        _name_line(drawing, label, grid, index=index)
    _cells(drawing, result, grid)
    below = grid.top + grid.side + grid.foot - 8
    drawing.text((grid.left + grid.side / 2, below), "predicted class", css="label", anchor="middle")
    drawing.text((12, grid.top + grid.side / 2), "true class", css="label", anchor="middle", turn=-90)
    return drawing.markup()


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the matrix lies, in px. Column names stand level, slanted or (many classes) upright on top."""

    cell: float
    left: float
    top: float
    side: float
    foot: float
    names: Literal["level", "slanted", "upright"]

    @classmethod
    def of(cls, labels: tuple[str, ...]) -> _Grid:
        cell = next((cell for most, cell in _CELLS_PX if len(labels) <= most), 11.0)
        margin = _label_px(labels, 12.0 if cell >= 20 else 8.5)
        side, left = cell * len(labels), margin + 34
        if cell < 20:
            return cls(cell, left, margin + 40, side, 26, "upright")
        if margin <= cell:
            return cls(cell, left, 34, side, 52, "level")
        return cls(cell, left, 34, side, margin * 0.72 + 44, "slanted")


_CELLS_PX = ((3, 110.0), (6, 72.0), (12, 48.0), (24, 34.0), (40, 24.0))


def _label_px(labels: tuple[str, ...], font_px: float) -> float:
    return min(max(text_px(label, font_px) for label in labels), LABEL_COLUMNS * font_px * 0.56)


def _name_line(drawing: Drawing, label: str, grid: _Grid, *, index: int) -> None:
    """The name of a class, left of its row and beside its column."""
    size, sink = ("tiny", 3.0) if grid.names == "upright" else ("tick", 4.0)
    along, bottom = (index + 0.5) * grid.cell, grid.top + grid.side
    row = (grid.left - 6, grid.top + along + sink)
    drawing.text(row, label, css=size, anchor="end", limit=LABEL_COLUMNS)
    if grid.names == "level":
        drawing.text((grid.left + along, bottom + 18), label, css=size, anchor="middle", limit=LABEL_COLUMNS)
    elif grid.names == "slanted":
        at = (grid.left + along + sink, bottom + 12)
        drawing.text(at, label, css=size, anchor="end", turn=-45, limit=LABEL_COLUMNS)
    else:
        drawing.text((grid.left + along + sink, grid.top - 6), label, css=size, turn=-90, limit=LABEL_COLUMNS)


def _cells(drawing: Drawing, result: ClassificationResult, grid: _Grid) -> None:
    for row, counts in enumerate(result.confusion):
        support = sum(counts)
        for column, count in enumerate(counts):
            if not count:
                continue
            corner = (grid.left + column * grid.cell, grid.top + row * grid.cell)
            tip = f"{result.labels[row]} → {result.labels[column]}: {count} of {support} ({percent(count / support)})"
            strength, gap = max(0.08, (count / support) ** 0.5), min(1.0, grid.cell / 20)
            css = "hit" if row == column else "miss"
            drawing.box(corner, (grid.cell - gap, grid.cell - gap), css=css, strength=strength, tip=tip)
            if grid.cell >= 20:
                _count(drawing, count, corner, cell=grid.cell, share=count / support)


def _count(drawing: Drawing, count: int, corner: Point, *, cell: float, share: float) -> None:
    on = "on-strong" if share > 0.38 else "on-weak"  # strength is √share
    size = "large" if cell >= 72 else "small" if cell < 30 else ""
    x, y = corner[0] + cell / 2, corner[1] + cell / 2 + 4
    drawing.text((x, y), f"{count}", css=f"count {size} {on}".replace("  ", " "), anchor="middle")
    if cell >= 72:
        drawing.text((x, y + 18), percent(share), css=f"count {on}", anchor="middle")


def reliability_diagram(result: ClassificationResult | AnswerResult) -> str:
    """Accuracy by stated confidence with Wilson intervals; below, how many examples each bin holds."""
    error = result.metrics["expected_calibration_error"]
    drawing = Drawing(
        430,
        500,
        title=f"Calibration: expected error {percent(error.value)}",
        about="Accuracy of predictions by their confidence, against the diagonal of perfect calibration",
    )
    x = Axis(Scale(0, 1, 64, 414), "confidence of the prediction (%)", _bare_percent)
    y = Axis(Scale(0, 1, 350, 34), "accuracy (%)", _bare_percent)
    drawing.line((x.scale(0), y.scale(0)), (x.scale(1), y.scale(1)), css="ideal")
    drawing.text((x.scale(0.03), y.scale(0.94)), "too modest", css="note")
    drawing.text((x.scale(0.98), y.scale(0.05)), "too sure", css="note", anchor="end")
    draw_axes(drawing, Axis(x.scale, "", x.write), y)
    for bin_ in result.reliability:
        _reliability_point(drawing, bin_, x=x.scale, y=y.scale)
    _strip(drawing, result, x)
    return drawing.markup()


def _bare_percent(value: float) -> str:
    return f"{100 * value:.0f}"


def _reliability_point(drawing: Drawing, bin_: ReliabilityBin, *, x: Scale, y: Scale) -> None:
    if bin_.confidence is None or bin_.accuracy is None:
        return
    low, high = wilson(bin_.correct, bin_.count)
    at = x(bin_.confidence)
    drawing.line((at, y(low)), (at, y(high)), css="whisker")
    tip = (
        f"confidence {percent(bin_.confidence)}, accuracy {percent(bin_.accuracy)} "
        f"[{percent(low)}, {percent(high)}], {bin_.count} examples"
    )
    drawing.dot((at, y(bin_.accuracy)), 4, css="point", tip=tip)


def _strip(drawing: Drawing, result: ClassificationResult | AnswerResult, x: Axis) -> None:
    """The histogram of confidences."""
    most = round_step(max(bin_.count for bin_ in result.reliability))
    y = Axis(Scale(0, most, 460, 396), "examples", lambda value: f"{value:,.0f}", ticks=1)
    draw_axes(drawing, x, y)
    for bin_ in result.reliability:
        if bin_.count:
            top, left = y.scale(bin_.count), x.scale(bin_.low)
            size = (x.scale(bin_.high) - left - 1, y.scale(0) - top)
            drawing.box((left, top), size, css="soft", tip=f"{bin_.count} examples")


def class_f1_bars(classes: Sequence[ClassFigures], macro_f1: Measurement) -> str:
    """F1 of each class, worst first, with the macro mean as a line."""
    rows = sorted((c for c in classes if c.f1 is not None), key=lambda c: (c.f1 or 0, c.label))
    left, pitch = _label_px(tuple(c.label for c in classes), 12) + 16, 20.0
    bottom = 52 + pitch * len(rows)
    drawing = Drawing(
        left + 480, bottom + 48, title="F1 by class, worst first", about="Horizontal bars, one for each class"
    )
    x = Axis(Scale(0, 1, left, left + 400), "F1 (%)", _bare_percent)
    draw_axes(drawing, x, Axis(Scale(0, 1, bottom, 52), "", lambda _: "", ticks=1))
    mean = macro_f1.value
    drawing.line((x.scale(mean), 48), (x.scale(mean), bottom), css="ideal")
    drawing.text((x.scale(mean), 42), f"macro-F1 {percent(mean)}", css="note", anchor="middle")
    for index, figures in enumerate(rows):
        _f1_bar(drawing, figures, top=52 + index * pitch, x=x.scale)
    return drawing.markup()


def _f1_bar(drawing: Drawing, figures: ClassFigures, *, top: float, x: Scale) -> None:
    f1 = figures.f1 or 0.0
    drawing.text((x.start - 8, top + 14), figures.label, css="tick", anchor="end", limit=LABEL_COLUMNS)
    tip = f"{figures.label}: F1 {percent(f1)}, {figures.support} examples"
    drawing.box((x.start, top + 3), (x(f1) - x.start, 14), css="bar", tip=tip)
    drawing.text((x(f1) + 6, top + 14), percent(f1), css="tick")


def class_changes(classes: Sequence[ClassChange], *, most: int = 30) -> str:
    """Examples lost and gained by class; the ``most`` classes that changed most."""
    rows = sorted((c for c in classes if c.lost or c.gained), key=lambda c: -(c.lost + c.gained))[:most]
    widest = max((max(c.lost, c.gained) for c in rows), default=1)
    left, pitch = _label_px(tuple(c.label for c in rows) or ("",), 12) + 16, 20.0
    bottom = 44 + pitch * len(rows)
    middle = left + 200
    drawing = Drawing(left + 400, bottom + 48, title="What changed, by true class", about="Examples lost and gained")
    drawing.text((middle - 8, 38), "◂ lost: right before, wrong now", css="note", anchor="end")
    drawing.text((middle + 8, 38), "gained: wrong before, right now ▸", css="note")
    for index, change in enumerate(rows):
        _change_bars(drawing, change, top=44 + index * pitch, scale=Scale(0, widest, middle, middle + 165))
    drawing.line((middle, 44), (middle, bottom), css="axis")
    drawing.text((middle, bottom + 22), "test examples", css="label", anchor="middle")
    return drawing.markup()


def _change_bars(drawing: Drawing, change: ClassChange, *, top: float, scale: Scale) -> None:
    middle, lost, gained = scale.start, scale(change.lost) - scale.start, scale(change.gained) - scale.start
    drawing.text((middle - 200, top + 14), change.label, css="tick", anchor="end", limit=LABEL_COLUMNS)
    if change.lost:
        drawing.box((middle - lost, top + 3), (lost, 14), css="miss", tip=f"{change.label}: {change.lost} lost")
        drawing.text((middle - lost - 5, top + 14), f"{change.lost}", css="tick", anchor="end")
    if change.gained:
        drawing.box((middle, top + 3), (gained, 14), css="hit", tip=f"{change.label}: {change.gained} gained")
        drawing.text((middle + gained + 5, top + 14), f"{change.gained}", css="tick")
