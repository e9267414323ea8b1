"""A fine-tuning by two workers of a real local Ray ends like that of one process; what goes wrong there is told."""

from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np
import pytest

import penjing
from app.calling import finetuning
from app.calling import penjing as command
from app.world import UNMEASURED, World, shared_world
from penjing.app.on_ray import _cause, cluster, finetune_on_ray, run_workers
from penjing.core.errors import DataError, ResourceError, UsageError
from penjing.core.recipe import resolve_recipe
from penjing.models.deltas.tensors import read_weights
from penjing.store import Store


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return shared_world(tmp_path_factory)


@pytest.fixture(scope="module")
def two_cores():
    """A cluster of two logical cores, whatever the machine has; started once, for that takes a while."""
    ray = pytest.importorskip("ray", reason="needs the extra 'ray'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()


def recipe_of(world: World, *more: str) -> penjing.FinetuneRecipe:
    flags = {"name": "topics", "model": str(world.checkpoint), "data.train": str(world.train)}
    sets = (*UNMEASURED, "training.precision=fp32", "training.epochs=4", *more)
    return resolve_recipe(penjing.FinetuneRecipe, None, sets, flags=flags)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("two_cores")
def test_two_workers_end_with_the_model_of_one_process(world, tmp_path):
    recipe = recipe_of(world)
    one = penjing.finetune(recipe, store=tmp_path / "one")
    two = finetune_on_ray(recipe, store=tmp_path / "two", workers=2, quiet=True)
    assert Store(tmp_path / "two").versions("topics") == [1]
    assert list((tmp_path / "two" / ".runs").iterdir()) == []
    assert two.judgement.result.metrics.keys() == one.judgement.result.metrics.keys()
    weights = read_weights(one.bundle.path / "checkpoint")
    for name, value in read_weights(two.bundle.path / "checkpoint").items():
        if name.endswith("key.bias"):  # its gradient is zero but for rounding, which AdamW makes as large as any
            continue
        np.testing.assert_allclose(value.numpy(), weights[name].numpy(), rtol=0, atol=2e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("two_cores")
def test_a_worker_that_dies_is_named_and_one_that_raises_is_heard(tmp_path):
    def dies(job):
        time.sleep(2)  # while all are at work
        if os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)

    def raises(job):
        raise DataError("no rows", expected="some")

    with pytest.raises(ResourceError, match=r"worker( 1)? of 2 ended before its work was done"):
        run_workers(dies, {"store": str(tmp_path)}, workers=2)
    with pytest.raises(DataError, match="no rows; expected some"):
        run_workers(raises, {"store": str(tmp_path)}, workers=2)


def test_without_ray_the_extra_is_named(world, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    ran = command(*finetuning(world, tmp_path, "--on", "ray"))
    assert ran.status == 1
    assert "package 'ray' is not installed" in ran.err
    assert "pip install 'penjing[ray]'" in ran.err


def test_more_workers_than_cores_are_refused_before_anything_starts(monkeypatch):
    ray = pytest.importorskip("ray", reason="needs the extra 'ray'")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("penjing.app.on_ray.usable_cores", lambda: 4)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with (
        pytest.raises(UsageError, match=r"3 workers of 2 threads are more than the cluster's 4 cores.*at most 2"),
        cluster(3, cores_each=2, quiet=True),
    ):
        pass


def test_a_cluster_that_is_not_there_is_told(monkeypatch):
    ray = pytest.importorskip("ray", reason="needs the extra 'ray'")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")

    def refuses(**options):
        raise ConnectionError("nobody at 127.0.0.1:1")

    monkeypatch.setattr(ray, "init", refuses)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ResourceError, match="cannot be reached: nobody at"), cluster(2, quiet=True):
        pass


def test_the_own_words_of_any_worker_come_first():
    told = {0: RuntimeError("Connection closed by peer\nand more"), 1: DataError("row 3 is bad")}
    assert str(_cause(told, workers=2)) == "row 3 is bad."
    lost = _cause({1: RuntimeError("")}, workers=2)
    assert isinstance(lost, ResourceError)
    assert "worker 1 of 2 ended before its work was done: RuntimeError" in str(lost)


def test_a_profile_is_of_one_process(world, tmp_path):
    ran = command(*finetuning(world, tmp_path, "--on", "ray", "--profile"))
    assert ran.status == 2
    assert "--profile with --on ray" in ran.err
