"""Machine, extras, progress and measurements."""

from __future__ import annotations

import json
import os
import platform

import pytest
from pydantic import ValidationError

from penjing.core import machine
from penjing.core.errors import ResourceError
from penjing.core.extras import require
from penjing.core.machine import Machine, describe_machine, usable_cores
from penjing.core.nouns import Measurement, Task
from penjing.core.progress import SILENT

X86 = """processor\t: 0
model name\t: Some CPU @ 2.00GHz
flags\t\t: fpu avx2 avx512f avx512_vnni
processor\t: 1
model name\t: Some other
flags\t\t:
"""
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd asimddp\n"


def test_this_machine_is_described_as_plain_data():
    here = describe_machine()
    assert here.cores >= 1
    assert here.memory_gib > 0.1
    assert here.versions["numpy"]
    assert "no-such-package" not in here.versions
    assert Machine.model_validate(json.loads(here.model_dump_json())) == here
    assert str(here.cores) in str(here)
    assert here.processor in str(here)


@pytest.mark.parametrize(
    ("cpuinfo", "processor", "instructions"),
    [
        (X86, "Some CPU @ 2.00GHz", ("avx2", "avx512f", "avx512_vnni")),
        (ARM, platform.machine(), ("asimddp",)),
        ("", platform.machine(), ()),
    ],
)
def test_the_first_processor_tells(tmp_path, monkeypatch, cpuinfo, processor, instructions):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "cpuinfo")
    here = describe_machine()
    assert (here.processor, here.instructions) == (processor, instructions)


def test_a_system_without_that_file_is_described_too(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "absent")
    assert describe_machine().instructions == ()
    assert "no vector extensions known" in str(describe_machine())


def test_cores_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert usable_cores() == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_a_package_that_is_there_is_imported():
    assert require("json.decoder", extra="serve").JSONDecoder is json.JSONDecoder


def test_a_package_that_is_absent_names_its_extra():
    with pytest.raises(
        ResourceError, match=r"package 'no_such_engine' is not installed.*pip install 'penjing\[serve\]'"
    ):
        require("no_such_engine", extra="serve")
    with pytest.raises(ResourceError, match=r"no_such\.part"):
        require("no_such.part", extra="serve")


def test_a_package_that_lacks_a_part_of_its_own_is_not_called_absent(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        require("half_there", extra="serve")


def test_silent_progress_takes_all_that_progress_takes():
    with SILENT.stage("Training", total=3) as stage:
        stage.advance()
        stage.advance(2, loss=0.5, tokens_per_s=100.0)
    SILENT.say("done")


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"value": 0.91234, "n": 10}, "0.9123"),
        ({"value": 12.0, "n": 10, "unit": "ms"}, "12 ms"),
        ({"value": 0.5, "low": 0.25, "high": 0.75, "n": 10}, "0.5 [0.25, 0.75]"),
        ({"value": 5, "low": 4, "high": 6, "n": 3, "unit": "ms"}, "5 ms [4, 6]"),
    ],
)
def test_a_measurement_shows_how_sure_it_is(fields, shown):
    assert str(Measurement(**fields)) == shown


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"value": 1, "n": 1, "low": 0}, "both bounds"),
        ({"value": 1, "n": 1, "low": 2, "high": 1}, "upside down: 2"),
        ({"value": 1}, "n"),
        ({"value": 1, "n": 1, "sd": 2}, "sd"),
    ],
)
def test_measurements_that_make_no_sense(fields, message):
    with pytest.raises(ValidationError, match=message):
        Measurement(**fields)


def test_infinity_survives_as_json():
    measured = Measurement(value=float("inf"), n=1)
    assert Measurement.model_validate_json(measured.model_dump_json()) == measured


def test_a_measurement_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Measurement(value=1, n=1).value = 2


def test_tasks_bear_the_names_of_hugging_face():
    assert str(Task.TEXT_CLASSIFICATION) == "text-classification"
    assert len(set(Task)) == 7
