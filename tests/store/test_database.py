from __future__ import annotations

import multiprocessing
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from penjing.core.errors import ConflictError, StoreError
from penjing.store import Store, database
from penjing.store.schema import MIGRATIONS
from store.making import draft, fill, litter, publish

FORK = multiprocessing.get_context("fork")  # starts at once: nothing is imported anew
# The children of these forks touch files and SQLite only, so threads of the parent do not matter to them.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def test_a_store_from_the_future_is_refused(tmp_path: Path) -> None:
    publish(Store(tmp_path))
    with closing(sqlite3.connect(tmp_path / "penjing.db")) as connection:
        connection.execute("PRAGMA user_version = 7")

    with pytest.raises(StoreError, match=r"penjing.db has schema 7; expected at most 1.* Upgrade Penjing"):
        Store(tmp_path)


def test_a_writer_refuses_the_future_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store)
    with closing(sqlite3.connect(tmp_path / "penjing.db")) as connection:
        connection.execute("PRAGMA user_version = 7")

    with pytest.raises(StoreError, match="has schema 7"):
        publish(store)
    assert (store.versions("newsgroups"), litter(tmp_path)) == ([1], [])


def test_a_store_from_the_past_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(Store(tmp_path))
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE later (x)",)))

    assert Store(tmp_path).ledger.verify() == 1
    with closing(sqlite3.connect(tmp_path / "penjing.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM later").fetchone() == (0,)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "penjing.db").write_bytes(content)

    with pytest.raises(StoreError, match=r"penjing.db is broken"):
        Store(tmp_path)


def test_an_empty_database_file_is_filled(tmp_path: Path) -> None:
    (tmp_path / "penjing.db").touch()

    store = Store(tmp_path)
    assert store.ledger.entries() == []
    store.ledger.append("run-ended", "run/1")
    assert store.ledger.verify() == 1


def test_a_lock_kept_too_long_is_told_after_waiting(tmp_path: Path) -> None:
    store = Store(tmp_path, busy_timeout_s=0.2)
    publish(store)
    with closing(sqlite3.connect(tmp_path / "penjing.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        with pytest.raises(StoreError, match=r"stayed locked by another process for 0\.2 s"):
            publish(store)
        assert 0.2 <= time.monotonic() - start < 5
        assert store.bundle("newsgroups").reference == "newsgroups/1"
        assert store.ledger.verify() == 1
        assert store.versions("newsgroups") == [1]
        assert litter(tmp_path) == []
        other.execute("ROLLBACK")

    assert publish(store).reference == "newsgroups/2"


def test_a_lock_given_back_in_time_is_waited_for(tmp_path: Path) -> None:
    store = Store(tmp_path, busy_timeout_s=30)
    store.ledger.append("run-ended", "run/1")
    with closing(sqlite3.connect(tmp_path / "penjing.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
        timer.start()
        assert store.ledger.append("run-ended", "run/2").sequence == 2
        timer.join()


def test_opening_does_not_fail_for_a_lock(tmp_path: Path) -> None:
    publish(Store(tmp_path)).path.rename(tmp_path / "newsgroups/5")
    with closing(sqlite3.connect(tmp_path / "penjing.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert Store(tmp_path, busy_timeout_s=0.05).versions("newsgroups") == [5]
        other.execute("ROLLBACK")

    assert [entry.kind for entry in Store(tmp_path).ledger.entries()][1:] == ["version-found", "version-missing"]


def _publish_some(root: Path, start: object, count: int) -> None:
    start.wait()
    for _ in range(count):
        publish(Store(root))


def test_eight_processes_publish_at_once(tmp_path: Path) -> None:
    root = tmp_path / "store"
    start = FORK.Barrier(8)
    writers = [FORK.Process(target=_publish_some, args=(root, start, 2)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 8

    store = Store(root)
    assert store.versions("newsgroups") == list(range(1, 17))
    for version in store.versions("newsgroups"):
        store.bundle("newsgroups", version).verify()
    published = [entry.subject for entry in store.ledger.entries(kind="version-published")]
    assert published == [f"newsgroups/{version}" for version in range(1, 17)]
    assert store.ledger.verify() == 16
    assert litter(root) == []


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    threads = [threading.Thread(target=publish, args=(store,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.versions("newsgroups") == [1, 2, 3, 4]
    assert store.ledger.verify() == 4


def test_one_compare_and_set_of_many_wins(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(4):
        publish(store)
    store.aliases.set("newsgroups", "stable", version=1)
    won: list[int] = []

    def contend(version: int) -> None:
        try:
            store.aliases.set("newsgroups", "stable", version=version, expect=1)
        except ConflictError:
            return
        won.append(version)

    threads = [threading.Thread(target=contend, args=(version,)) for version in (2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert won == [store.aliases.get("newsgroups", "stable")]


def test_a_living_stage_is_not_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.stage("newsgroups") as first:
        fill(first.path)
        publish(Store(tmp_path))
        publish(Store(tmp_path), "reviews")
        assert first.publish(draft()).reference == "newsgroups/2"
