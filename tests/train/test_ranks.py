"""Two real processes end with the weights of one, and only the first of them writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from app.calling import finetuning, penjing, settings
from penjing.core.errors import UsageError
from penjing.models.deltas.tensors import read_weights
from penjing.store import Store
from penjing.train.place import place_among
from penjing.train.ranks import ALONE, Ranks
from train.rank_worker import train_here
from train.toy import run, toy_encoder, toy_set

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def both(line, **more):
    """Run a command as two processes that know of each other; what each printed."""
    told = ENVIRONMENT | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"} | more
    told |= {"MASTER_PORT": str(free_port())}
    started = [
        subprocess.Popen(
            line, env=told | {"RANK": str(rank)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    ended = [process.communicate(timeout=200) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    return ended


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_row_of_a_step_is_somebodys(count):
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 40):
        rows, lengths = rng.permutation(size), rng.integers(1, 60, size)
        shares = [Ranks(rank, count).mine(rows, lengths) for rank in range(count)]
        assert np.concatenate(shares).tolist() == rows.tolist()
        if size == 40:
            assert max(len(share) for share in shares) <= 40 / count + 10
    assert ALONE.mine(rows, lengths) is rows


def test_two_processes_end_with_the_weights_of_one(tmp_path):
    whole = train_here(tmp_path / "one")
    both([sys.executable, "-m", "train.rank_worker", str(tmp_path / "two")])
    assert not (tmp_path / "two-1.states").exists(), "only the first writes states"
    for rank in range(2):
        found = np.load(f"{tmp_path / 'two'}-{rank}.npz")
        for name, value in whole.items():
            np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-9, err_msg=name)
    facts = [json.loads((tmp_path / f"two-{rank}.json").read_text()) for rank in range(2)]
    assert facts[0] == facts[1], "every process sees the loss of the whole"
    alone = json.loads((tmp_path / "one-0.json").read_text())
    np.testing.assert_allclose(facts[0], alone, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["none", "full"])
def test_finetune_by_two_processes_publishes_one_version_like_that_of_one(world, tmp_path, sharding):
    told = settings("measure=null", "training.epochs=2", "training.precision=fp32", "data.validation_fraction=0.1")
    told += settings("training.validate_every=1", f"training.sharding={sharding}")
    one = penjing(*finetuning(world, tmp_path / "one", "--json", *told))
    assert one.status == 0, one.err
    line = [sys.executable, "-m", "penjing", *map(str, finetuning(world, tmp_path / "two", "--json", *told))]
    (first, _), (second, _) = both(line)
    assert json.loads(first)["version"] == 1
    assert second == ""
    assert Store(tmp_path / "two").versions("topics") == [1]
    stores = [tmp_path / name / "topics" / "1" / "checkpoint" for name in ("one", "two")]
    weights, others = (read_weights(path) for path in stores)
    for name, value in weights.items():
        np.testing.assert_allclose(others[name].numpy(), value.numpy(), rtol=0, atol=2e-4, err_msg=name)


def test_pairs_are_not_shared_out():
    pairs = replace(toy_set(8), together=2)
    with pytest.raises(UsageError, match="2 processes train on pairs"):
        run(toy_encoder(), pairs, ranks=Ranks(0, 2))


@pytest.mark.parametrize("told", [("2", "2"), ("-1", "2"), ("x", "2"), ("0", "0")])
def test_a_place_that_cannot_be_is_refused(monkeypatch, told):
    monkeypatch.setenv("RANK", told[0])
    monkeypatch.setenv("WORLD_SIZE", told[1])
    with pytest.raises(UsageError, match="what torchrun sets"):
        place_among()
