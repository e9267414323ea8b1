"""``penjing prune`` and ``penjing compress`` killed time after time: nothing half registered, and they go on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from app.calling import finetuning, penjing, settings
from app.world import BRIEF, QUICK, shared_world
from faults.killing import PEACE, killed
from penjing.store import Store

MODULES = ("transformers.models.bert.modeling_bert", "penjing.app.prune", "penjing.app.compress")
# A moment is an audit event and the end of what it is about, or of a process a part of its command.
AT = """
def at(moment, event, arguments):
    wanted, _, what = moment.partition(" ")
    if event != wanted:
        return False
    if event == "subprocess.Popen":
        return what in " ".join(map(str, arguments[1]))
    return str(arguments[1 if event == "os.rename" else 0]).endswith(what)
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
    lines, said = killed(store, moments, asked, modules=MODULES, at=AT, timeout=580)
    assert [line[:2] for line in lines] == [*([moment, "-9"] for moment in moments), [PEACE, "0"]], said
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
