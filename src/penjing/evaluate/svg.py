"""A small kit for drawing charts as SVG that lives inside an HTML page.

Promises: text stays text, so the reader's browser supplies the fonts of any script; colours are
names of the page's style sheet, so one drawing serves light and dark; equal input gives equal
bytes; all text is escaped, whatever it holds. Trade: the width of text is estimated, not measured.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from xml.etree import ElementTree as Tree

Point = tuple[float, float]

FONT_PX = 12.0


class Drawing:
    """An SVG picture under construction.

    Args:
        width: px.
        height: px.
        title: shown on top, and read out by screen readers.
        about: one sentence for those who cannot see the picture.
    """

    def __init__(self, width: float, height: float, *, title: str, about: str) -> None:
        self.width, self.height = width, height
        size = {"width": number(width), "height": number(height), "viewBox": f"0 0 {number(width)} {number(height)}"}
        self._root = Tree.Element("svg", {**size, "role": "img", "aria-label": clean(f"{title}. {about}")})
        self.text((0, 16), title, css="title")

    def line(self, start: Point, end: Point, *, css: str) -> None:
        """A straight line."""
        keys = zip(("x1", "y1", "x2", "y2"), (*start, *end), strict=True)
        self._add("line", {key: number(value) for key, value in keys}, css)

    def curve(self, points: Iterable[Point], *, css: str) -> None:
        """An open line through all points."""
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self._add("polyline", {"points": path}, css)

    def box(self, corner: Point, size: Point, *, css: str, strength: float | None = None, tip: str = "") -> None:
        """A filled rectangle; ``strength`` is its opacity, ``tip`` shows on hover."""
        keys = zip(("x", "y", "width", "height"), (*corner, *size), strict=True)
        attributes = {key: number(value) for key, value in keys}
        if strength is not None:
            attributes["fill-opacity"] = number(strength)
        self._add("rect", attributes, css, tip=tip)

    def dot(self, centre: Point, radius: float, *, css: str, tip: str = "") -> None:
        """A filled circle; ``tip`` shows on hover."""
        attributes = {"cx": number(centre[0]), "cy": number(centre[1]), "r": number(radius)}
        self._add("circle", attributes, css, tip=tip)

    def text(
        self, at: Point, words: str, *, css: str = "", anchor: str = "start", turn: float = 0, limit: int = 90
    ) -> None:
        """Words on a base line, cut to ``limit`` columns (the whole shows on hover), turned by degrees about ``at``."""
        attributes = {"x": number(at[0]), "y": number(at[1])}
        if anchor != "start":
            attributes["text-anchor"] = anchor
        if turn:
            attributes["transform"] = f"rotate({number(turn)} {attributes['x']} {attributes['y']})"
        shown, whole = shorten(words, limit), clean(words)
        self._add("text", attributes, css, words=shown, tip="" if shown == whole else whole)

    def markup(self) -> str:
        """The picture as text, to be put into HTML as it is."""
        return Tree.tostring(self._root, encoding="unicode")

    def _add(self, tag: str, attributes: dict[str, str], css: str, *, words: str = "", tip: str = "") -> None:
        element = Tree.SubElement(self._root, tag, attributes | ({"class": css} if css else {}))
        if tip:
            Tree.SubElement(element, "title").text = clean(tip)
            element[0].tail = words
        elif words:
            element.text = words


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from values to px."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The px of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """About ``wanted`` round values within the scale."""
        step = round_step((self.high - self.low) / wanted)
        first = math.ceil(self.low / step - 1e-9)
        return [index * step for index in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale with its name and the way its ticks are written."""

    scale: Scale
    label: str
    write: Callable[[float], str]
    ticks: int = 5


def draw_axes(drawing: Drawing, x: Axis, y: Axis) -> None:
    """Grid, ticks and labels; x below the lower end of y, y left of the start of x."""
    left, right, bottom, top = x.scale.start, x.scale.end, y.scale.start, y.scale.end
    for value in y.scale.ticks(y.ticks):
        height = y.scale(value)
        drawing.line((left, height), (right, height), css="grid")
        drawing.text((left - 8, height + 4), y.write(value), css="tick", anchor="end")
    for value in x.scale.ticks(x.ticks):
        drawing.line((x.scale(value), bottom), (x.scale(value), bottom + 4), css="axis")
        drawing.text((x.scale(value), bottom + 18), x.write(value), css="tick", anchor="middle")
    drawing.line((left, bottom), (right, bottom), css="axis")
    drawing.text(((left + right) / 2, bottom + 38), x.label, css="label", anchor="middle")
    drawing.text((12, (top + bottom) / 2), y.label, css="label", anchor="middle", turn=-90)


def round_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5 × 10ⁿ that is not below ``rough``."""
    if not rough > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next((power * step for step in (1, 2, 2.5, 5) if power * step >= rough * (1 - 1e-9)), power * 10)


def clean(text: str) -> str:
    """Text without what no document may hold: control characters become U+FFFD, line breaks blanks."""
    flat = " ".join(text.split())
    return "".join("\ufffd" if unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in flat)


def columns(text: str) -> int:
    """Width in columns: Chinese, Japanese and Korean signs take two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` columns of cleaned text, ending in … where cut."""
    flat = clean(text)
    if columns(flat) <= limit:
        return flat
    kept, room = [], limit - 1
    for sign in flat:
        room -= columns(sign)
        if room < 0:
            break
        kept.append(sign)
    return "".join(kept) + "…"


def text_px(text: str, font_px: float = FONT_PX) -> float:
    """Estimated width of text in px, on the generous side."""
    return columns(text) * font_px * 0.56


def number(value: float) -> str:
    """A coordinate: two decimals at most, no trailing noughts."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")
