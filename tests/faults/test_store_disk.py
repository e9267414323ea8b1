"""A disk that is full, small or read-only: a clear error, nothing half-written, and work goes on once it can."""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penjing.core.errors import ResourceError
from penjing.store import Store
from store.making import draft, fill, litter, publish

FORK = multiprocessing.get_context("fork")
# The children of these forks touch files and SQLite only, so threads of the parent do not matter to them.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def _mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", disk)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@contextmanager
def _read_only(disk: Path) -> Iterator[None]:
    _mount("-o", "remount,ro", disk)
    try:
        yield
    finally:
        _mount("-o", "remount,rw", disk)


def _check(store: Store, versions: list[int]) -> None:
    assert (store.versions("newsgroups") if store.models() else []) == versions
    for version in versions:
        store.bundle("newsgroups", version).verify()
    assert litter(store.root) == []


def test_a_disk_that_fills_while_files_are_written(small_disk: Path) -> None:
    store = Store(small_disk)
    publish(store)

    with pytest.raises(ResourceError, match=r"No space left on device.* Free space"):
        publish(store, weights=bytes(3 << 20))

    _check(store, [1])
    assert publish(store).reference == "newsgroups/2"


def test_a_disk_that_fills_at_any_moment(small_disk: Path) -> None:
    store = Store(small_disk)
    publish(store)
    ballast = small_disk / "ballast"
    outcomes = set()
    versions = [1]
    for free_kib in range(0, 140, 4):
        ballast.write_bytes(b"")
        space = os.statvfs(small_disk)
        ballast.write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - (free_kib << 10))))
        try:
            versions.append(publish(store, weights=bytes(4096)).manifest.version)
            outcomes.add("published")
        except ResourceError:
            outcomes.add("refused")
        _check(store, versions)
    ballast.unlink()

    assert outcomes == {"published", "refused"}
    assert versions == list(range(1, len(versions) + 1))
    versions.append(publish(store).manifest.version)
    _check(Store(small_disk), versions)
    assert [entry.subject for entry in store.ledger.entries()] == [f"newsgroups/{version}" for version in versions]
    assert store.ledger.verify() == len(versions)


def _publish_within(root: Path, file_bytes: int, outcomes: object) -> None:
    store = Store(root)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))
    try:
        outcomes.put(publish(store).reference)
    except ResourceError as error:
        outcomes.put(str(error))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    _check(store, [])
    outcomes.put(publish(store).reference)


@pytest.mark.parametrize(("file_bytes", "stopped"), [(6, ".staging-"), (20_000, "penjing.db")])
def test_a_limit_on_the_size_of_files(tmp_path: Path, file_bytes: int, stopped: str) -> None:
    """Where no disk can be mounted: the limit stops the weights or the database."""
    outcomes = FORK.SimpleQueue()
    process = FORK.Process(target=_publish_within, args=(tmp_path, file_bytes, outcomes))
    process.start()
    process.join(60)

    assert process.exitcode == 0
    first, second = outcomes.get(), outcomes.get()
    assert stopped in first
    assert "Free space" in first
    assert second == "newsgroups/1"
    _check(Store(tmp_path), [1])
    assert Store(tmp_path).ledger.verify() == 1


def test_a_read_only_store_is_read_and_not_written(small_disk: Path) -> None:
    root = small_disk / "store"
    store = Store(root)
    publish(store)
    store.aliases.set("newsgroups", "stable", version=1)

    with _read_only(small_disk):
        store = Store(root)
        store.bundle("newsgroups", "stable").verify()
        assert store.ledger.verify() == 2
        for write in (
            lambda: publish(store),
            lambda: publish(store, "reviews"),
            lambda: store.remove("newsgroups", 1),
            lambda: store.ledger.append("run-ended", "run/1"),
            lambda: store.aliases.set("newsgroups", "canary", version=1),
            lambda: publish(Store(small_disk / "other")),
        ):
            with pytest.raises(ResourceError):
                write()
        _check(store, [1])

    assert publish(store).reference == "newsgroups/2"


def test_a_read_only_store_that_the_ledger_lags_behind_opens(small_disk: Path) -> None:
    publish(Store(small_disk)).path.rename(small_disk / "newsgroups/3")

    with _read_only(small_disk):
        assert Store(small_disk).versions("newsgroups") == [3]
    assert len(Store(small_disk).ledger.entries()) == 3


def test_a_read_only_store_not_closed_cleanly_still_serves_by_number(small_disk: Path) -> None:
    store = Store(small_disk)
    publish(store)
    process = FORK.Process(target=_die_with_an_open_log, args=(small_disk,))
    process.start()
    process.join(60)
    (small_disk / "penjing.db-shm").unlink()

    with _read_only(small_disk):
        store = Store(small_disk)
        store.bundle("newsgroups", 1).verify()
        with pytest.raises(ResourceError, match=r"penjing\.db"):
            store.aliases.of("newsgroups")
    assert Store(small_disk).ledger.verify() == 2


def _die_with_an_open_log(root: Path) -> None:
    import sqlite3

    holder = sqlite3.connect(root / "penjing.db")
    holder.execute("SELECT * FROM ledger").fetchall()
    Store(root).ledger.append("run-ended", "run/1")
    os._exit(0)


def test_a_store_where_a_file_stands_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    store = Store(tmp_path / "store")

    assert store.models() == []
    with pytest.raises(ResourceError, match=r"writing .*store.* failed"):
        publish(store)


def test_a_write_refused_for_another_reason_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), Store(tmp_path).stage("newsgroups") as staging:  # noqa: PT012
        fill(staging.path)
        (staging.path / "checkpoint").write_text("")
        staging.publish(draft())
