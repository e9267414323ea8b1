"""Measuring: turns that alternate, every system closed, servers that end, and errors that are told."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from penjing.app.asking import ask
from penjing.app.measure import System, measure, run_concurrently, server_process
from penjing.app.recipes import MeasureRecipe
from penjing.core.errors import NotReadyError, ResourceError
from penjing.core.progress import SILENT

TEXTS = [f"text {number}" for number in range(5)]


def system(name, log, *, fails=False):
    def all_of(texts):
        if fails:
            raise NotReadyError("broken")
        log.append((name, len(texts)))

    return System(name, lambda text: log.append((name, text)), all_of, lambda: log.append((name, "closed")))


def test_systems_take_turns_over_the_same_texts():
    log = []
    recipe = MeasureRecipe(rounds=2, requests=3, clients=2)
    speeds = measure([system("a", log), system("b", log)], TEXTS, [7] * 5, recipe=recipe, progress=SILENT)
    rounds = log[4:-2]  # after warming up, before closing
    assert [name for name, what in rounds if what == 3] == ["a", "b", "b", "a"]
    asked = [what for name, what in rounds if name == "a" and what != 3]
    assert asked == ["text 0", "text 1", "text 2", "text 3", "text 4", "text 0"]
    assert sorted(log[-2:]) == [("a", "closed"), ("b", "closed")]
    assert [len(speed.latencies_ms) for speed in speeds] == [6, 6]
    assert speeds[0].rounds[0].tokens == 21
    assert set(speeds[0].summary()) >= {"p50_ms", "p99_ms", "requests_per_s", "tokens_per_s"}
    assert speeds[1].ratio_to(speeds[0]).value > 0


def test_a_system_that_fails_is_told_and_all_are_closed():
    log = []
    systems = [system("a", log), system("b", log, fails=True)]
    with pytest.raises(NotReadyError, match="broken"):
        measure(systems, TEXTS, [7] * 5, recipe=MeasureRecipe(rounds=1, requests=1), progress=SILENT)
    assert {("a", "closed"), ("b", "closed")} <= set(log)


def test_of_concurrent_jobs_all_run_and_the_first_error_is_raised():
    done = []

    def job(number):
        done.append(number)
        if number == 1:
            raise ValueError(number)

    with pytest.raises(ValueError, match="1"):
        run_concurrently([partial(job, number) for number in range(4)])
    assert sorted(done) == [0, 1, 2, 3]


def test_a_server_that_cannot_start_says_why(tmp_path):
    with (
        pytest.raises(NotReadyError, match=r"did not get ready: (?s:.*)unknown key; did you mean 'port'"),
        server_process(tmp_path, settings=["prt=3"]),
    ):
        pass


def test_a_server_that_is_away_or_refuses_is_told(made):
    with server_process(made.store) as url:
        assert ask(url, "/v1/models/topics")["model_version_status"]
        with pytest.raises(ResourceError, match=r"/v1/models/none answered 404: "):
            ask(url, "/v1/models/none")
    with pytest.raises(ResourceError, match=r"does not answer: .*; expected a running server"):
        ask(url, "/v1/models/topics", timeout_s=2)


PARENT = """
import sys, time
from pathlib import Path
from penjing.app.measure import server_process
with server_process(Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(60)
"""


def test_a_server_ends_with_a_parent_that_is_killed(made):
    with subprocess.Popen([sys.executable, "-c", PARENT, str(made.store)], stdout=subprocess.PIPE, text=True) as parent:
        url = parent.stdout.readline().strip()
        (server,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        parent.send_signal(signal.SIGKILL)
    assert url.startswith("http://")
    deadline = time.monotonic() + 20
    while Path(f"/proc/{server}").exists() and "Z" not in _state(server):
        assert time.monotonic() < deadline, "the server lives on"
        time.sleep(0.05)


def _state(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2]
    except OSError:
        return "Z"
