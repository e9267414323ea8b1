"""The report's charts of a run: the learning curve, and what each system trades for its speed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from penjing.core.nouns import Measurement
from penjing.evaluate.content import LearningCurve, SystemRow, TrainPoint
from penjing.evaluate.svg import Axis, Drawing, Point, Scale, draw_axes, round_step

WIDTH, HEIGHT = 500.0, 330.0
_MOST_POINTS = 400


def loss_curve(curve: LearningCurve) -> str:
    """Training loss over tokens: each step faint, smoothed on top; validation loss where measured."""
    train = thinned([point for point in curve.train if math.isfinite(point.loss)])
    checked = [(p.tokens, p.loss) for p in curve.validation if p.loss is not None and math.isfinite(p.loss)]
    drawing = Drawing(WIDTH, HEIGHT, title="Loss while training", about="Cross-entropy over tokens seen")
    highest = max([p.loss for p in train] + [loss for _, loss in checked], default=1.0)
    x = _tokens_axis(curve)
    y = Axis(_padded(0, highest, start=270, end=40), "cross-entropy (nats)", _short)
    draw_axes(drawing, x, y)
    drawing.curve([(x.scale(p.tokens), y.scale(p.loss)) for p in train], css="raw")
    smooth = smoothed([point.loss for point in train])
    trend = [(x.scale(p.tokens), y.scale(loss)) for p, loss in zip(train, smooth, strict=True)]
    drawing.curve(trend, css="trend")
    places = [(x.scale(tokens), y.scale(loss)) for tokens, loss in checked]
    _checked_line(drawing, places, [f"validation loss {loss:.3f}" for _, loss in checked])
    names = [(trend[-1][1], f"training, smoothed {smooth[-1]:.2f}", "trend-name")] if trend else []
    names += [(places[-1][1], f"validation {checked[-1][1]:.2f}", "second-name")] if places else []
    for index, (_, words, css) in enumerate(sorted(names, reverse=True)):
        height = min(height for height, *_ in names) - 12 - 16 * index
        drawing.text((WIDTH - 16, height), words, css=css, anchor="end")
    return drawing.markup()


def accuracy_curve(curve: LearningCurve) -> str:
    """Validation accuracy over tokens."""
    points = [(p.tokens, p.accuracy) for p in curve.validation if p.accuracy is not None and math.isfinite(p.accuracy)]
    drawing = Drawing(WIDTH, HEIGHT, title="Validation accuracy while training", about="Accuracy over tokens seen")
    x = _tokens_axis(curve)
    values = [accuracy for _, accuracy in points] or [0.0, 1.0]
    y = Axis(
        _padded(min(values), max(values), start=270, end=40, most=1.0), "accuracy (%)", lambda v: f"{_short(100 * v)}"
    )
    draw_axes(drawing, x, y)
    places = [(x.scale(tokens), y.scale(accuracy)) for tokens, accuracy in points]
    _checked_line(drawing, places, [f"{100 * accuracy:.2f} %" for _, accuracy in points])
    if points:
        best = max(range(len(points)), key=lambda index: points[index][1])
        _name_ends(drawing, [(places[best], f"best {100 * points[best][1]:.1f} %", "second-name")])
    return drawing.markup()


def trade_off(systems: Sequence[SystemRow], measure: str = "Accuracy") -> str:
    """Quality against throughput, a point a system, both with intervals; up and right is better.

    Of three systems or more, a line joins those that no other beats in both.
    """
    rows = [(row.name, row.requests_per_s, row.quality) for row in systems]
    known = [(name, speed, quality) for name, speed, quality in rows if speed and quality]
    drawing = Drawing(640, 340, title=f"{measure} against throughput", about="One point for each system")
    fastest = max(_high(speed) for _, speed, _ in known)
    x = Axis(
        Scale(0, fastest * 1.08, 72, 620), "throughput (requests/s)", lambda v: f"{v:,.0f}" if v >= 10 else _short(v)
    )
    lowest, highest = min(_low(q) for *_, q in known), max(_high(q) for *_, q in known)
    named_y = f"{measure if measure[:2].isupper() or measure == 'F1' else measure.lower()} (%)"
    y = Axis(_padded(lowest, highest, start=280, end=44, most=1.0), named_y, lambda v: _short(100 * v))
    draw_axes(drawing, x, y)
    front = sorted(_front([(speed.value, quality.value) for _, speed, quality in known]))
    if len(known) > 2:
        drawing.curve([(x.scale(speed), y.scale(quality)) for speed, quality in front], css="raw")
    named = []
    for name, speed, quality in known:
        at = (x.scale(speed.value), y.scale(quality.value))
        drawing.line((x.scale(_low(speed)), at[1]), (x.scale(_high(speed)), at[1]), css="whisker")
        drawing.line((at[0], y.scale(_low(quality))), (at[0], y.scale(_high(quality))), css="whisker")
        drawing.dot(at, 5, css="point", tip=f"{name}: {100 * quality.value:.2f} %, {speed.value:,.0f} requests/s")
        named.append((at, name, "name"))
    _name_ends(drawing, named)
    return drawing.markup()


def _front(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats in both."""
    return [one for one in points if not any(a >= one[0] and b >= one[1] and (a, b) != one for a, b in points)]


def drawable(systems: Sequence[SystemRow]) -> bool:
    """Whether two systems or more have both a quality and a throughput."""
    return sum(bool(row.quality and row.requests_per_s and row.requests_per_s.value > 0) for row in systems) > 1


def thinned(points: Sequence[TrainPoint], most: int = _MOST_POINTS) -> list[TrainPoint]:
    """At most ``most`` points: means over runs of neighbours, placed at their last token."""
    size = -(-len(points) // most) or 1
    runs = [points[start : start + size] for start in range(0, len(points), size)]
    return [TrainPoint(tokens=run[-1].tokens, loss=math.fsum(p.loss for p in run) / len(run)) for run in runs]


def smoothed(values: Sequence[float]) -> list[float]:
    """Centred means over about a twentieth of the values, over half of that at the ends."""
    result = []
    for index in range(len(values)):
        window = values[max(0, index - len(values) // 40) : index + len(values) // 40 + 1]
        result.append(math.fsum(window) / len(window))
    return result


def _checked_line(drawing: Drawing, places: list[Point], tips: list[str]) -> None:
    drawing.curve(places, css="second")
    for place, tip in zip(places, tips, strict=True):
        drawing.dot(place, 3.5, css="second-point", tip=tip)


def _name_ends(drawing: Drawing, named: list[tuple[Point, str, str]]) -> None:
    """Write names beside their points, pushed apart where they would touch."""
    taken: list[float] = []
    for (x, y), words, css in sorted(named):
        height = y - 10
        while any(abs(height - other) < 15 for other in taken):
            height -= 15
        taken.append(height)
        right = x > drawing.width * 0.6
        drawing.text((x if right else x + 8, height), words, css=css, anchor="end" if right else "start", limit=40)


def _tokens_axis(curve: LearningCurve) -> Axis:
    most = max([p.tokens for p in curve.train] + [p.tokens for p in curve.validation], default=1) or 1
    divisor, word = next(
        (pair for pair in ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands")) if most >= 2 * pair[0]), (1.0, "")
    )
    label = f"tokens seen in training ({word})" if word else "tokens seen in training"
    return Axis(Scale(0, most, 64, WIDTH - 16), label, lambda tokens: _short(tokens / divisor))


def _padded(low: float, high: float, *, start: float, end: float, most: float = math.inf) -> Scale:
    """A scale that ends on round values around low..high."""
    step = round_step((high - low) / 4 if high > low else abs(high) / 4 or 1.0)
    top = min(most, math.ceil(high / step + 0.2) * step)
    bottom = math.floor(low / step) * step
    return Scale(bottom if bottom < top else top - step, top, start, end)


def _short(value: float) -> str:
    return f"{value:.4g}"


def _low(measured: Measurement) -> float:
    return measured.value if measured.low is None else measured.low


def _high(measured: Measurement) -> float:
    return measured.value if measured.high is None else measured.high
