"""What people see: bars at a terminal, lines in a log, tables that do not break what is to be copied."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from app.calling import penjing
from penjing.app import terminal
from penjing.app.terminal import TerminalProgress, headline, percent, plain, quality_table, show
from penjing.core.nouns import Measurement
from penjing.evaluate import TranslationChange, TranslationResult, report


def console(*, terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=150, highlight=False)


def test_in_a_log_a_stage_is_a_line_at_its_end(monkeypatch):
    screen = console(terminal=False)
    progress = TerminalProgress(screen)
    progress.say("[news] with brackets")
    with progress.stage("Training", total=100) as stage:
        stage.advance(40, loss=0.5)
        stage.advance(60, loss=0.25, tokens_per_s=1234.5)
    lines = screen.file.getvalue().splitlines()
    assert lines == ["[news] with brackets", "  Training: 100%, 0 s  loss 0.250 · 1,234 tokens/s"]


def test_in_a_log_a_long_stage_says_how_long_it_still_takes(monkeypatch):
    clock = iter([0.0, 0.0, 10.0, 20.0])
    monkeypatch.setattr("penjing.app.terminal.time.monotonic", lambda: next(clock))
    screen = console(terminal=False)
    with TerminalProgress(screen).stage("Training", total=100) as stage:
        stage.advance(10)
        stage.advance(10, other=2)
    assert screen.file.getvalue() == "  Training: 20%, 20 s, 80 s left  other 2\n"


def test_at_a_terminal_a_stage_is_a_bar():
    screen = console(terminal=True)
    with TerminalProgress(screen).stage("Training", total=10) as stage:
        stage.advance(10, loss=0.125)
    shown = screen.file.getvalue()
    assert "Training" in shown
    assert "100 %" in shown
    assert "loss 0.125" in shown


def test_a_path_is_not_broken_in_two(capsys):
    path = "/store/" + "long/" * 60 + "report.html"
    show(f"Report: {path}")
    assert path in capsys.readouterr().out


@pytest.mark.parametrize(
    ("figure", "share", "number"),
    [
        (None, "—", "—"),
        (Measurement(value=0.5, n=4), "50.0%", "0.5"),
        (Measurement(value=1234.56, low=1000, high=2000, n=9), "123456.0% [100000.0, 200000.0]", "1,234.6"),
    ],
)
def test_figures_with_and_without_intervals(figure, share, number):
    assert percent(figure) == share
    assert plain(figure) == number


def test_translations_show_bleu_and_chrf(capsys):
    figures = {"bleu": 0.148, "chrf": 0.41, "same": 0.05}
    metrics = {
        name: Measurement(value=value, low=value - 0.01, high=value + 0.01, n=9) for name, value in figures.items()
    }
    show(quality_table(TranslationResult(n=9, metrics=metrics, signature=""), title="de/1"))
    shown = capsys.readouterr().out
    for line in ("BLEU", "14.8% [13.8, 15.8]", "chrF", "41.0%", "same as the reference"):
        assert line in shown
    assert headline(metrics) == "14.8% bleu"


def test_every_measure_that_the_report_names_has_a_name_at_the_terminal():
    assert set(report._NAMES) - {"nll", "brier"} == set(terminal._SHARES) | set(terminal._NUMBERS)


def test_a_version_whose_speed_was_not_measured_has_no_empty_table(monkeypatch):
    figure = Measurement(value=0.0, low=-0.01, high=0.01, n=9)
    change = TranslationChange(
        n=9, baseline=figure, candidate=figure, difference=figure, chrf_difference=figure, agreement=figure
    )
    bundle = SimpleNamespace(reference="w/2", path=Path("store/w/2"))
    done = SimpleNamespace(bundle=bundle, comparison=change, systems=(), restored=None)
    monkeypatch.setattr("penjing.app.quantize.quantize", lambda *_, **__: done)
    ran = penjing("quantize", "w/1")
    assert ran.status == 0
    assert "Through the server" not in ran.out
    assert "Registered w/2" in ran.out
