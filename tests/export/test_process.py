"""Work in a process of its own ends well, or says how it ended."""

from __future__ import annotations

import time

import pytest

from penjing.core.errors import ExportError
from penjing.export import process
from penjing.export.process import run_worker


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Write a module that the fresh process can import."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(code):
        (tmp_path / "odd_worker.py").write_text(code)
        return "odd_worker"

    return write


def test_work_that_ends_well_gets_its_arguments(worker, tmp_path):
    run_worker(worker("import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"), [f"{tmp_path}/a", "é"])
    assert (tmp_path / "a").read_text() == "é"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise RuntimeError('no such operator')", r"(?s)failed with status 1: .*RuntimeError: no such operator\.$"),
        ("import sys; sys.exit('checkpoint x lacks y')", r"failed with status 1: checkpoint x lacks y\.$"),
        ("import sys; print('said aloud'); sys.exit(3)", r"failed with status 3: said aloud\.$"),
        ("import os; os._exit(4)", r"failed with status 4: it said nothing\.$"),
        ("import sys; sys.stderr.buffer.write(b'\\xff\\xfe'); sys.exit(5)", "failed with status 5: \ufffd\ufffd"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL: it said nothing.*memory runs out: free some"),
        ("import os; os.abort()", "ended by SIGABRT"),
    ],
)
def test_work_that_fails_says_its_last_words(worker, code, message):
    with pytest.raises(ExportError, match=message):
        run_worker(worker(code), [])


def test_of_many_words_the_last_are_told(worker):
    with pytest.raises(ExportError) as met:
        run_worker(worker("import sys\nfor n in range(99): print('line', n, file=sys.stderr)\nsys.exit(1)"), [])
    assert met.value.came.splitlines()[1:] == ["line 95", "line 96", "line 97", "line 98"]


def test_work_that_does_not_end_is_ended(worker, monkeypatch):
    monkeypatch.setattr(process, "TIMEOUT_S", 0.5)
    began = time.monotonic()
    with pytest.raises(ExportError, match=r"odd_worker did not end in 0 s.*quieter machine"):
        run_worker(worker("import time; time.sleep(60)"), [])
    assert time.monotonic() - began < 20


def test_files_in_the_users_directory_do_not_stand_in_for_libraries(worker, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "json.py").write_text("raise SystemExit('not the real one')")
    monkeypatch.chdir(elsewhere)
    run_worker(worker("import json"), [])


def test_a_module_that_is_not_there():
    with pytest.raises(ExportError, match="No module named no_such_worker"):
        run_worker("no_such_worker", [])
