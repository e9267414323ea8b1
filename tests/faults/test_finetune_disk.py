"""A disk that refuses while a model is made: states are done without, a version is refused whole, both are told."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.calling import penjing, settings
from app.world import QUICK, World, shared_world
from penjing.store import Store

SETS = (*QUICK, "measure=null", "training.epochs=1", "training.save_every_s=0")
SCRIPT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from penjing.app.cli import main
main()
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return shared_world(tmp_path_factory)


def command(world, store):
    sources = ["--model", str(world.checkpoint), "--train", str(world.train)]
    return ["finetune", "--name", "topics", *sources, "--store", str(store), *settings(*SETS)]


def check_empty(store: Path) -> None:
    """No version, and nothing of one."""
    assert Store(store).models() == []
    assert not [path for path in store.rglob("*") if "topics" in path.parts or path.name.startswith(".staging")]


def test_files_may_not_grow_to_the_size_of_the_weights(world, tmp_path):
    asked = [sys.executable, "-c", SCRIPT, "100000", *command(world, tmp_path / "store")]
    ran = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    said = ran.stderr
    assert ran.returncode == 1
    assert "Traceback" not in said
    assert len(re.findall(r"No state was saved at step \d: writing .*File too large.* Training goes on", said)) == 7
    assert re.search(r"^penjing: writing .*checkpoint failed: .*File too large.*; expected a writable", said, re.M)
    assert "Free space or choose another directory, then run the same command again." in said
    check_empty(tmp_path / "store")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that holds the states but not a whole version."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=800k", "tmpfs", str(folder)]
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("room_kb", [60, 250])
def test_a_full_disk_refuses_the_whole_version(world, disk, room_kb):
    """60 kB: the checkpoint does not fit; 250 kB: the exported model does not."""
    (disk / "ballast").write_bytes(bytes(800_000 - room_kb * 1000))
    ran = penjing(*command(world, disk / "store"), "--set", "training.save_every_s=null")
    assert ran.status == 1
    assert re.search(r"penjing: writing .* failed: .*[Nn]o space left on device", ran.err), ran.err
    check_empty(disk / "store")
