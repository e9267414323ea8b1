"""Ctrl-C and readers that leave: the command ends with a word, a status and no litter."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from app.calling import settings
from app.world import QUICK, shared_world
from penjing.store import Store
from store.making import litter, publish


def start(*arguments, **pipes):
    command = [sys.executable, "-m", "penjing", *map(str, arguments)]
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **pipes)


def test_ctrl_c_in_the_training_ends_it_in_peace(tmp_path, tmp_path_factory):
    world, store = shared_world(tmp_path_factory), tmp_path / "store"
    sets = settings(*QUICK, "measure=null", "training.epochs=1000", "training.save_every_s=0")
    sources = ["--model", world.checkpoint, "--train", world.train]
    with start("finetune", "--name", "topics", *sources, "--store", store, *sets) as process:
        try:
            while not list(store.glob(".runs/*/step-*")):
                assert process.poll() is None, process.stderr.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
            said = process.stderr.read()
        finally:
            process.kill()
    assert "penjing: stopped. A fine-tuning goes on from its last saved state" in said
    assert "Traceback" not in said
    assert Store(store).models() == []
    assert [name for name in litter(store) if "staging" in name] == []


@pytest.mark.parametrize("arguments", [["models"], ["models", "ledger"], ["models", "--json"]])
def test_a_reader_that_leaves_is_no_error_to_shout_about(tmp_path, arguments):
    publish(Store(tmp_path))
    with start(*arguments, "--store", tmp_path, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr.read() == ""
