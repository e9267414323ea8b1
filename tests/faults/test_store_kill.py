"""A process killed at any moment leaves whole versions only, and what it left behind is swept."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penjing.store import Store
from store.making import fill, litter, publish

FORK = multiprocessing.get_context("fork")
# The children of these forks touch files and SQLite only, so threads of the parent do not matter to them.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
KILLS = 30


def _publish_for_ever(root: Path, started: object) -> None:
    store = Store(root)
    started.set()
    while True:
        publish(store, weights=os.urandom(100_000))


def _check(root: Path) -> Store:
    store = Store(root)
    for model in store.models():
        for version in store.versions(model):
            store.bundle(model, version).verify()
    assert store.ledger.verify() == len(store.ledger.entries())
    return store


def test_kills_at_random_moments_leave_whole_versions(tmp_path: Path) -> None:
    moments = random.Random(7)
    for _ in range(KILLS):
        started = FORK.Event()
        process = FORK.Process(target=_publish_for_ever, args=(tmp_path, started))
        process.start()
        assert started.wait(60)
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.join()
        _check(tmp_path)

    store = Store(tmp_path)
    assert publish(store).manifest.version == max(store.versions("newsgroups"))
    assert litter(tmp_path) == []
    recorded = {e.subject for e in store.ledger.entries() if e.kind in ("version-published", "version-found")}
    assert recorded == {f"newsgroups/{version}" for version in store.versions("newsgroups")}
    numbers = store.versions("newsgroups")
    assert numbers == list(range(1, len(numbers) + 1))


STEPS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "fcntl.flock", "sqlite3.connect"}


def _die_at(root: Path, step: int) -> None:
    """Publish a version and remove it again, and die on the way at the ``step``-th thing done to the disk."""
    steps = itertools.count()

    def hook(event: str, _: tuple[object, ...]) -> None:
        if event in STEPS and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    store = Store(root)
    store.remove("newsgroups", publish(store).manifest.version)
    os._exit(0)


def test_a_kill_at_each_step_leaves_whole_versions(tmp_path: Path) -> None:
    kept = publish(Store(tmp_path))
    for step in itertools.count():
        process = FORK.Process(target=_die_at, args=(tmp_path, step))
        process.start()
        process.join(60)
        store = _check(tmp_path)
        assert kept.manifest.version in store.versions("newsgroups")
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert step > 10

    publish(store)
    assert litter(tmp_path) == []


def _die_before_the_entry(root: Path) -> None:
    def clock() -> datetime:
        if (root / "newsgroups/1").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return datetime.now(UTC)

    publish(Store(root, clock=clock))


def test_a_kill_between_rename_and_entry_is_healed_by_the_next_opening(tmp_path: Path) -> None:
    process = FORK.Process(target=_die_before_the_entry, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL

    store = _check(tmp_path)

    bundle = store.bundle("newsgroups", 1)
    entries = [(entry.kind, entry.subject, entry.facts) for entry in store.ledger.entries()]
    assert entries == [("version-found", "newsgroups/1", {"manifest": bundle.digest})]


def test_the_stage_of_a_killed_process_is_swept_with_its_model(tmp_path: Path) -> None:
    staged = FORK.Event()

    def stage_for_ever() -> None:
        with Store(tmp_path).stage("reviews") as staging:
            fill(staging.path)
            staged.set()
            time.sleep(60)

    process = FORK.Process(target=stage_for_ever)
    process.start()
    assert staged.wait(60)
    publish(Store(tmp_path))
    assert len(litter(tmp_path)) == 1, "a living process keeps its stage"
    process.kill()
    process.join()

    publish(Store(tmp_path))

    assert litter(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["newsgroups"]
