"""``penjing finetune`` killed at any moment and started again: one whole version, the weights of a run in peace."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import penjing
from app.calling import settings
from app.world import QUICK, World, shared_world
from faults.killing import PEACE, killed
from penjing.core.files import sha256_file
from penjing.core.recipe import resolve_recipe
from penjing.store import Store

SETS = (*QUICK, "measure=null", "training.dropout=0.1", "training.save_every_s=0")
MODULES = ("transformers.models.bert.modeling_bert", "penjing.app.finetune", "penjing.train.loop", "onnxruntime")
AT = """
made = 0

def at(moment, event, arguments):
    global made
    if moment == "a state half saved" and event == "os.mkdir":
        made += ".runs" in str(arguments[0]) and ".staging-" in str(arguments[0])
        return made == 4
    if moment == "a state saved" and event == "os.rename":
        return str(arguments[1]).endswith("step-000000020")
    if moment == "export" and event == "subprocess.Popen":
        return "penjing.export.worker" in arguments[1]
    if moment == "evidence" and event == "open":
        return str(arguments[0]).endswith("evidence/test.npz")
    return moment == "publish" and event == "os.rename" and str(arguments[1]).endswith("/topics/1")
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return shared_world(tmp_path_factory)


class TrainedError(Exception):
    """Ends a run whose weights are all that is wanted."""


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory) -> str:
    """Digest of the weights of a run in peace."""
    digests = []

    def stop(directory, *arguments, **options):
        digests.append(sha256_file(directory / "checkpoint" / "model.safetensors"))
        raise TrainedError

    flags = {"name": "topics", "model": str(world.checkpoint), "data.train": str(world.train)}
    recipe = resolve_recipe(penjing.FinetuneRecipe, None, SETS, flags=flags)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("penjing.app.finishing.export_fp32", stop)
        with pytest.raises(TrainedError):
            penjing.finetune(recipe, store=tmp_path_factory.mktemp("undisturbed") / "store")
    return digests[0]


def command(world, store):
    sources = ["--model", str(world.checkpoint), "--train", str(world.train)]
    return ["finetune", "--name", "topics", *sources, "--store", str(store), *settings(*SETS)]


def check(store: Path, weights: str) -> None:
    """One whole version, with these weights, and nothing else."""
    home = Store(store)
    assert home.versions("topics") == [1]
    bundle = home.bundle("topics", 1)
    bundle.verify()
    assert bundle.manifest.files["checkpoint/model.safetensors"].sha256 == weights
    assert [entry.kind for entry in home.ledger.entries()] == ["version-published"]
    assert sorted(path.name for path in store.iterdir() if path.is_dir()) == [".runs", "topics"]
    assert list((store / ".runs").iterdir()) == []
    assert [path.name for path in (store / "topics").iterdir()] == ["1"]


MOMENTS = ["a state half saved", "a state saved", "export", "publish"]


@pytest.mark.parametrize(
    "moments", [MOMENTS, pytest.param([*MOMENTS, "evidence", "export", "publish"], marks=pytest.mark.slow)]
)
def test_killed_at_every_stage_one_after_another(world, undisturbed, tmp_path, moments):
    store = tmp_path / "store"
    lines, said = killed(store, moments, command(world, store), modules=MODULES, at=AT, timeout=280)
    assert [line[:2] for line in lines] == [*([moment, "-9"] for moment in moments), [PEACE, "0"]], said
    assert all(line[2] == "[]" for line in lines[:-1]), "half a version was seen"
    assert "Resuming at step 3 of" in said
    assert "Resuming at step 19 of" in said
    check(store, undisturbed)


@pytest.mark.slow
def test_killed_at_any_time(world, undisturbed, tmp_path):
    moments, store = random.Random(3), tmp_path / "store"
    asked = [sys.executable, "-m", "penjing", *command(world, store)]
    for _ in range(5):
        with subprocess.Popen(asked, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            time.sleep(moments.uniform(1, 8))
            process.kill()
        if Store(store).models():
            break
    if not Store(store).models():
        subprocess.run(asked, check=True, capture_output=True, timeout=120)
    assert Store(store).versions("topics") == [1]
    bundle = Store(store).bundle("topics", 1)
    bundle.verify()
    assert bundle.manifest.files["checkpoint/model.safetensors"].sha256 == undisturbed
