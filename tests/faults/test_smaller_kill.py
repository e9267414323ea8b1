"""``penjing prune`` and ``penjing compress`` killed time after time: nothing half registered, and they go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.calling import finetuning, penjing, settings
from app.world import BRIEF, QUICK, shared_world
from penjing.store import Store

# Runs the command once for each moment, in a fork that kills itself there, then once in peace. A moment is an audit
# event and the end of what it is about.
SCRIPT = """
import importlib, os, signal, sys
from pathlib import Path
for name in ("transformers.models.bert.modeling_bert", "penjing.app.prune", "penjing.app.compress"):
    importlib.import_module(name)
from penjing.app.cli import main
from penjing.store import Store

store, moments = Path(sys.argv[1]), sys.argv[2].split(",")
sys.argv = ["penjing", *sys.argv[3:]]

def about(event, arguments):
    if event == "os.rename":
        return str(arguments[1])
    return " ".join(map(str, arguments[1])) if event == "subprocess.Popen" else str(arguments[0])

for moment in [*moments, "none none"]:
    wanted, what = moment.split(" ")
    process = os.fork()
    if process == 0:
        def hook(event, arguments):
            if event == wanted and (what in about(event, arguments) if event == "subprocess.Popen"
                                    else about(event, arguments).endswith(what)):
                os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        try:
            main()
        except SystemExit as end:
            os._exit(end.code or 0)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(f"{moment}|{status}|{Store(store).models()}", flush=True)
"""
PRUNE = ["subprocess.Popen penjing.export.worker", "open evidence/test.npz", "os.rename /less/1"]
COMPRESS = ["os.rename /topics/1", "os.rename /rung-tokens/1", "os.rename /rung-layers-1/2", "os.rename /less/1"]
LADDER = ("layers=[1]", "static=null", *(one for one in QUICK if one.startswith("training.")), *BRIEF)


@pytest.fixture(scope="module")
def topics(tmp_path_factory):
    """A store with ``topics/1``."""
    store = tmp_path_factory.mktemp("kill") / "store"
    ran = penjing(*finetuning(shared_world(tmp_path_factory), store), *settings("measure=null"))
    assert ran.status == 0, ran.err
    return store


@pytest.mark.parametrize(
    ("moments", "command"),
    [
        (PRUNE, ["prune", "topics/1", "--vocabulary", *settings("measure=null")]),
        pytest.param(
            COMPRESS,
            ["compress", "topics/1", "--max-drop", "1", "--min-speedup", "0.01", *settings(*LADDER)],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["prune", "compress"],
)
def test_killed_at_every_stage_one_after_another(topics, tmp_path, moments, command):
    store = tmp_path / "store"
    subprocess.run(["cp", "-r", str(topics), str(store)], check=True)
    asked = [*command, "--name", "less", "--store", str(store)]
    told = [sys.executable, "-c", SCRIPT, str(store), ",".join(moments), *asked]
    ran = subprocess.run(told, capture_output=True, text=True, timeout=580)
    lines = [line.split("|") for line in ran.stdout.splitlines() if line.count("|") == 2]
    assert [line[:2] for line in lines] == [*([moment, "-9"] for moment in moments), ["none none", "0"]], ran.stderr
    assert all(line[2] == "['topics']" for line in lines[:-1]), "half a version was seen"
    check(store)


def check(store: Path) -> None:
    """One whole version more, and nothing else."""
    home = Store(store)
    assert home.models() == ["less", "topics"]
    assert home.versions("less") == [1]
    home.bundle("less", 1).verify()
    assert sorted(path.name for path in (store / "less").iterdir()) == ["1"]
    assert not list((store / ".runs").glob("*"))
    published = [entry for entry in home.ledger.entries() if entry.kind == "version-published"]
    assert len(published) == 2
