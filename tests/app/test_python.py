"""``import penjing`` gives the commands as functions, at once and whatever was imported before."""

from __future__ import annotations

import subprocess
import sys

import pytest

NAMES = "penjing.evaluate, penjing.export, penjing.finetune, penjing.quantize, penjing.predict, penjing.quickstart"


@pytest.mark.parametrize("before", ["", "import penjing.evaluate, penjing.export.probes"])
def test_every_command_can_be_called(before):
    code = f"""
import penjing
{before}
assert all(callable(one) for one in ({NAMES}, penjing.list_versions)), [{NAMES}]
try:
    penjing.evaluate("none/1", store=__import__("pathlib").Path("/nowhere"))
except penjing.core.errors.NotFoundError as error:
    print(error)
from penjing import evaluate, export
assert callable(evaluate) and callable(export)
from penjing.evaluate import write_report
import penjing.export.probes as probes
"""
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "model 'none' is not in the store /nowhere" in ran.stdout


def test_importing_penjing_loads_nothing_heavy():
    code = """
import sys, penjing
heavy = {"torch", "transformers", "numpy", "openvino", "onnxruntime", "pydantic"} & set(sys.modules)
assert not heavy, heavy
assert penjing.__version__
try:
    penjing.nothing
except AttributeError as error:
    assert "nothing" in str(error)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_python_m_penjing_is_the_command():
    ran = subprocess.run([sys.executable, "-m", "penjing", "--help"], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0
    assert "finetune" in ran.stdout
