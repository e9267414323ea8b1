"""``penjing simulate``: the table, the drawing, service times of a running server."""

from __future__ import annotations

import json
from xml.etree import ElementTree as Tree

import pytest
from typer.testing import CliRunner

from penjing.app.cli import app
from penjing.core.errors import UsageError
from penjing.fleet.simulation.measuring import line_through, service_times
from penjing.store.store import Store
from serve.doubles import FakeEngine, opens, publish, serving

FEW = ("simulate", "--set", "requests=1500", "--set", "warm=100", "--replicas", "4")


def run(*words):
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_policies_are_compared_best_first(tmp_path):
    said = json.loads(run(*FEW, "--json", "--policy", "random", "--policy", "least-work"))
    assert [one["policy"] for one in said["policies"]] == ["least-work", "random"]
    assert said["policies"][0]["p99_ms"] < said["policies"][1]["p99_ms"]
    assert said["recipe"]["replicas"] == 4
    table = run(*FEW)
    assert "p99.9 ms" in table
    assert table.index("least-work") < table.index("random")


def test_the_tails_are_drawn(tmp_path):
    plot = tmp_path / "tails.svg"
    run(*FEW, "--plot", str(plot))
    root = Tree.parse(plot).getroot()  # noqa: S314  our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"least-work", "99.9 %", "milliseconds"} <= set(words)
    before = plot.read_bytes()
    run(*FEW, "--plot", str(plot))
    assert plot.read_bytes() == before


def test_service_times_are_measured_on_a_server(tmp_path):
    store = Store(tmp_path)
    publish(store)
    with serving(store, open_with=opens(FakeEngine(delay_s=0.003))) as server:
        base_ms, ms_per_token = service_times(server.url, "m", rounds=2)
        assert base_ms > 1
        assert ms_per_token >= 0
        with pytest.raises(UsageError, match="404"):
            service_times(server.url, "nobody")


def test_a_line_is_found():
    assert line_through([(1, 3.0), (2, 5.0), (3, 7.0)]) == pytest.approx((1, 2))
    assert line_through([(1, 3.0), (1, 5.0)]) == (4, 0)
    assert line_through([(1, 5.0), (2, 3.0)]) == (4, 0)


def test_one_without_the_other_is_wrong_usage():
    with pytest.raises(UsageError, match="go together"):
        CliRunner().invoke(app, ["simulate", "--server", "http://x"], catch_exceptions=False)
