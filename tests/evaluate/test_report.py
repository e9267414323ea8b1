from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from penjing.core.errors import ResourceError
from penjing.core.nouns import Measurement, Task
from penjing.evaluate import (
    ClassificationScore,
    Comparison,
    Headline,
    LearningCurve,
    PairedComparison,
    ReportContent,
    SystemRow,
    TrainPoint,
    ValidationPoint,
    render_report,
    write_report,
)
from penjing.evaluate.report import draw_charts

Build = Callable[[tuple[str, ...]], ReportContent]

HOSTILE = (
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "'><img src=x onerror=alert(1)>",
    "</style></svg><b>",
    "{{ 7 * 7 }}{% raw %}",
    "&amp; & ]]> <!--",
    "null\x00 bell\x07 \u202eright to left",
    "lone \ud800 surrogate",
    "long " * 400,
    "",
)
ALLOWED = frozenset(
    {"html", "head", "meta", "title", "style", "body", "header", "footer", "nav", "section", "h1", "h2", "h3", "p", "a"}
    | {"span", "small", "time", "dl", "dt", "dd", "div", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    | {"code", "pre", "figure", "details", "summary", "svg", "text", "line", "polyline", "rect", "circle"}
)


class Page(HTMLParser):
    """Collects tags and checks that they close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: set[str] = set()
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        self.ids |= {value for name, value in attrs if name == "id" and value}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def headline() -> Headline:
    return Headline(model="m", task=Task.TEXT_CLASSIFICATION, created=datetime(2026, 1, 2, tzinfo=UTC))


def check_harmless(html: str) -> Page:
    page = Page(html)
    assert page.tags <= ALLOWED
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert not names & {"src", "srcset", "action", "formaction", "data", "style", "xlink:href"}
    assert all(value and value.startswith("#") for name, value in page.attributes if name == "href")
    style = html[html.index("<style>") : html.index("</style>")]
    assert not re.search(r"url\(|@import|https?:", style)
    return page


@pytest.mark.parametrize("classes", [2, 3, 20, 150])
def test_whole_report_stands_alone(full_report: Build, classes: int) -> None:
    html = render_report(full_report(tuple(f"topic.{index}" for index in range(classes))))
    page = check_harmless(html)
    sections = {"quality", "measurements", "systems", "comparison", "gate", "learning", "data", "recipe", "lineage"}
    assert sections <= page.ids
    assert all(value and value[1:] in page.ids for name, value in page.attributes if name == "href")
    assert html.count("<svg") == 7
    assert "nan" not in html
    assert len(html) < 2_000_000


def test_hostile_text_is_only_text(full_report: Build) -> None:
    html = render_report(full_report(HOSTILE))
    page = check_harmless(html)
    shown = "".join(page.words)
    assert "<script>alert(1)</script>" in shown
    assert "{{ 7 * 7 }}" in shown
    assert "\x00" not in html
    assert "49" not in [word.strip() for word in page.words if "7 * 7" in word]


def test_hostile_text_first_or_last_makes_no_difference(full_report: Build, tmp_path: Path) -> None:
    for turn in (3, 8, 9):
        content = full_report(HOSTILE[turn:] + HOSTILE[:turn])
        write_report(tmp_path / "report.html", content)
        check_harmless((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_chinese_labels_stay_text(full_report: Build) -> None:
    labels = ("体育新闻", "财经", "科技与互联网", "国际时政要闻")
    html = render_report(full_report(labels))
    charts = draw_charts(full_report(labels))
    for label in labels:
        assert f">{label}</text>" in charts["confusion"]
        assert f">{label}</text>" in charts["class_f1"]
        assert label in html


def test_same_content_same_bytes_also_after_reloading(full_report: Build, tmp_path: Path) -> None:
    content = full_report(("甲", "b", "c"))
    again = ReportContent.model_validate_json(content.model_dump_json())
    assert again == content
    for name, value in (("one", content), ("two", again)):
        write_report(tmp_path / name, value)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_absent_data_absent_section() -> None:
    page = check_harmless(render_report(ReportContent(headline=headline())))
    assert page.ids == set()
    assert "svg" not in page.tags


def test_nothing_changed_and_nothing_confused() -> None:
    logits, targets = np.eye(2, dtype=np.float32).repeat(3, axis=0), np.arange(2).repeat(3)
    score, pair = ClassificationScore(("a", "b")), PairedComparison(("a", "b"))
    score.add(logits, targets)
    pair.add(logits, logits, targets=targets)
    content = ReportContent(
        headline=headline(),
        quality=score.result(),
        comparison=Comparison(baseline="x", candidate="y", result=pair.result()),
    )
    html = render_report(content)
    check_harmless(html)
    assert "No prediction changed." in html
    assert "Confused most" not in html


@pytest.mark.parametrize(
    "curve",
    [
        LearningCurve(),
        LearningCurve(train=(TrainPoint(tokens=0, loss=0.0),)),
        LearningCurve(train=(TrainPoint(tokens=5, loss=float("nan")), TrainPoint(tokens=9, loss=float("inf")))),
        LearningCurve(validation=(ValidationPoint(tokens=9, accuracy=1.0),)),
        LearningCurve(validation=(ValidationPoint(tokens=9, accuracy=float("nan")),)),
        LearningCurve(train=tuple(TrainPoint(tokens=i * 10**9, loss=1e9 / (i + 1)) for i in range(3))),
    ],
)
def test_odd_learning_curves(curve: LearningCurve) -> None:
    html = render_report(ReportContent(headline=headline(), learning=curve))
    check_harmless(html)
    assert not re.search(r'"[^"]*\b(nan|inf)\b[^"]*"', html)


def test_systems_without_figures_are_listed_but_not_drawn() -> None:
    equal = Measurement(value=0.9, n=10)
    rows = (SystemRow(name="a", quality=equal), SystemRow(name="b", requests_per_s=equal), SystemRow(name="c"))
    html = render_report(ReportContent(headline=headline(), systems=rows))
    check_harmless(html)
    assert "<svg" not in html


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ResourceError, match=r"penjing\[report\]"):
        write_report(tmp_path / "report.html", ReportContent(headline=headline()))
    assert list(tmp_path.iterdir()) == []
