"""What people see: bars at a terminal, lines in a log, tables that do not break what is to be copied."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from penjing.app.terminal import TerminalProgress, percent, plain, show
from penjing.core.nouns import Measurement


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
