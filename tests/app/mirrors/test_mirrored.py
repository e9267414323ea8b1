"""Whatever a mirror does, the run goes on, and what went wrong is said once."""

from __future__ import annotations

import threading
import time

import pytest

from app.mirrors.told import bundle, run
from penjing.app.mirrors import mirrored
from penjing.app.mirrors.mirrored import Courier, Mirrors

RECORD = {"loss": 1.0, "rate": 0.1, "tokens": 5, "seen": 5, "tokens_per_s": 9.0}


class Said:
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


class Fake:
    """A mirror that remembers, and fails where it is told to."""

    name = "Fake"

    def __init__(self, **fails):
        self.calls, self.numbers, self._fails = [], [], fails

    def _come(self, call):
        self.calls.append(call)
        if call in self._fails:
            fails = self._fails[call]
            raise fails if isinstance(fails, BaseException) else fails()

    def begin(self, run):
        self.run = run
        self._come("begin")

    def take(self, steps):
        self.numbers += [one.number for one in steps]
        self._come("take")

    def end(self, bundle, last):
        self._come("end")
        self.bundle, self.last = bundle, last

    def break_off(self):
        self._come("break_off")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(mirrored, "_EVERY_S", 0.01)
    monkeypatch.setattr(mirrored, "_AT_THE_END_S", 0.3)
    monkeypatch.setattr(mirrored, "_BROKEN_OFF_S", 0.1)


def follow(mirror, folder, *, steps=20, secret="", ends=True):
    said = Said()
    mirrors = Mirrors([Courier(mirror, run(), secret=secret)], said)
    for number in range(1, steps + 1):
        mirrors.step(number, RECORD)
        time.sleep(0.005)
    if ends:
        mirrors.end(bundle(folder))
    mirrors.close()
    return said.lines


@pytest.mark.usefixtures("quick")
def test_every_step_arrives_in_order_and_the_end_last(tmp_path):
    mirror = Fake()
    assert follow(mirror, tmp_path) == []
    assert mirror.numbers == list(range(1, 21))
    assert (mirror.calls[0], mirror.calls[-1], mirror.last) == ("begin", "end", 20)


@pytest.mark.usefixtures("quick")
def test_a_run_that_became_no_version_is_broken_off(tmp_path):
    mirror = Fake()
    assert follow(mirror, tmp_path, ends=False) == []
    assert mirror.calls[-1] == "break_off"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("call", ["begin", "take", "end"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SystemExit(3), KeyboardInterrupt()])
def test_an_exception_is_told_once(tmp_path, call, error):
    mirror = Fake(**{call: error})
    (line,) = follow(mirror, tmp_path)
    assert line.startswith(f"The mirror in Fake is off: {type(error).__name__}")
    assert mirror.calls.count(call) == 1
    assert line.endswith("Training goes on." if call != "end" else "It does not show all of the run.")


@pytest.mark.usefixtures("quick")
def test_no_password_is_told(tmp_path):
    mirror = Fake(begin=OSError("no answer from http://me:hunter2@host"))
    (line,) = follow(mirror, tmp_path, secret="http://me:hunter2@host")
    assert "hunter2" not in line


@pytest.mark.usefixtures("quick")
def test_one_that_waits_for_ever_holds_nobody_up(tmp_path):
    gate = threading.Event()
    began = time.monotonic()
    lines = follow(Fake(take=gate.wait), tmp_path)
    assert time.monotonic() - began < 5
    assert lines == ["The mirror in Fake is off: it does not answer. It does not show all of the run."]
    gate.set()


@pytest.mark.usefixtures("quick")
def test_a_slow_one_costs_bounded_memory_and_says_what_it_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(mirrored, "_MOST_WAITING", 5)
    gate = threading.Event()

    class Slow(Fake):
        def begin(self, run):
            gate.wait()
            super().begin(run)

    mirror, said = Slow(), Said()
    mirrors = Mirrors([Courier(mirror, run())], said)
    for number in range(1, 21):
        mirrors.step(number, RECORD)
    gate.set()
    mirrors.end(bundle(tmp_path))
    mirrors.close()
    assert mirror.numbers == [16, 17, 18, 19, 20]
    assert "15 steps" in said.lines[0]


@pytest.mark.usefixtures("quick")
def test_one_that_fails_leaves_the_other_be(tmp_path):
    good, bad, said = Fake(), Fake(begin=ValueError("no")), Said()
    mirrors = Mirrors([Courier(bad, run()), Courier(good, run())], said)
    for number in range(1, 21):
        mirrors.step(number, RECORD)
        time.sleep(0.005)
    mirrors.end(bundle(tmp_path))
    mirrors.close()
    assert good.numbers == list(range(1, 21))
    assert len(said.lines) == 1
