from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.core.errors import StoreError, UsageError
from penjing.store import Entry, Store
from penjing.store.schema import GENESIS

GOLDEN_HASH = "783d90540b0fde970c7504e45e5e75642d4843aa0147eb5d50ef3399d8d3acf0"
TRIGGERS = ("ledger_keeps_its_entries", "ledger_drops_no_entry", "ledger_does_not_fork")
COLUMNS = ("sequence", "time", "kind", "subject", "facts", "previous", "hash")


def _fill(store: Store, count: int = 5) -> list[Entry]:
    return [store.ledger.append("run-ended", f"run/{n}", {"loss": n / 7, "名": ["é", None]}) for n in range(count)]


def _tamper(root: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Write behind the ledger's back, as one with a hex editor could."""
    with closing(sqlite3.connect(root / "penjing.db")) as connection:
        for trigger in TRIGGERS:
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement, values in statements:
            connection.execute(statement, values)
        connection.commit()


def test_entries_are_read_back_in_order(tmp_path: Path) -> None:
    ledger = Store(tmp_path).ledger
    made = [ledger.append("run-ended", "run/1", {"ε": 0.5}), ledger.append("gate-refused", "a/1")]
    made.append(ledger.append("run-ended", "run/2", {1: {"nested": [1.0, 2, "三"]}}))

    assert ledger.entries() == made
    assert ledger.entries(kind="run-ended") == [made[0], made[2]]
    assert ledger.entries(subject="a/1") == [made[1]]
    assert ledger.entries(limit=2) == made[1:]
    assert [entry.sequence for entry in made] == [1, 2, 3]
    assert [entry.previous for entry in made] == [GENESIS, made[0].hash, made[1].hash]
    assert made[2].facts == {"1": {"nested": [1.0, 2, "三"]}}
    assert ledger.verify() == 3


def test_times_never_run_backwards(tmp_path: Path) -> None:
    start = datetime(2026, 5, 1, 12, tzinfo=UTC)
    hours = iter([0, 1, -5, 0.5, 2])
    ledger = Store(tmp_path, clock=lambda: start + timedelta(hours=next(hours))).ledger

    times = [ledger.append("tick", "clock").time for _ in range(5)]

    assert times == [f"2026-05-01T{hour}:00:00.000000+00:00" for hour in (12, 13, 13, 13, 14)]
    assert ledger.verify() == 5


@pytest.mark.parametrize("facts", [{"x": float("nan")}, {"x": {1, 2}}, {"x": "\ud800"}, {("a",): 1}])
def test_facts_that_are_not_json_are_refused(tmp_path: Path, facts: dict) -> None:
    with pytest.raises(UsageError, match="facts of a ledger entry"):
        Store(tmp_path).ledger.append("run-ended", "run/1", facts)


@pytest.mark.parametrize(
    ("kind", "subject"), [("", "a"), ("Run Ended", "a"), ("run\n", "a"), ("run", ""), ("run", "a\n")]
)
def test_a_kind_and_a_subject_are_needed(tmp_path: Path, kind: str, subject: str) -> None:
    with pytest.raises(UsageError, match="ledger entry"):
        Store(tmp_path).ledger.append(kind, subject)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("written"))


@settings(max_examples=20, deadline=None)
@given(facts=st.dictionaries(st.text(), _JSON, max_size=3))
def test_any_json_is_kept_and_verifies(written: Store, facts: dict) -> None:
    try:
        entry = written.ledger.append("run-ended", "run/1", facts)
    except UsageError:  # lone surrogates, which no UTF-8 can hold
        return
    assert written.ledger.entries(limit=1) == [entry]
    assert entry.facts == facts
    assert written.ledger.verify() == entry.sequence


@pytest.fixture(scope="module")
def naked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, sqlite3.Connection]]:
    """A ledger without its triggers, and a connection that writes to it fast."""
    store = Store(tmp_path_factory.mktemp("naked"))
    _fill(store)
    with closing(sqlite3.connect(store.root / "penjing.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for trigger in TRIGGERS:
            connection.execute(f"DROP TRIGGER {trigger}")
        yield store, connection


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_byte_changed_is_found_and_named(naked: tuple[Store, sqlite3.Connection], data: st.DataObject) -> None:
    store, connection = naked
    number = data.draw(st.integers(1, 5), label="entry")
    column = data.draw(st.sampled_from(COLUMNS[1:]), label="column")
    select = f"SELECT CAST({column} AS BLOB) FROM ledger WHERE sequence = ?"  # noqa: S608
    update = f"UPDATE ledger SET {column} = CAST(? AS TEXT) WHERE sequence = ?"  # noqa: S608
    (raw,) = connection.execute(select, (number,)).fetchone()
    place = data.draw(st.integers(0, len(raw) - 1), label="place")
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[place]), label="byte")

    connection.execute(update, (raw[:place] + bytes([byte]) + raw[place + 1 :], number))
    try:
        with pytest.raises(StoreError, match=f"ledger entry {number} "):
            store.ledger.verify()
    finally:
        connection.execute(update, (raw, number))
    assert store.ledger.verify() == 5


@pytest.mark.parametrize(
    ("statements", "first"),
    [
        ([("DELETE FROM ledger WHERE sequence = 3", ())], 3),
        ([("DELETE FROM ledger WHERE sequence = 1", ())], 1),
        ([("UPDATE ledger SET sequence = 9 WHERE sequence = 2", ())], 2),
        ([("UPDATE ledger SET facts = ? WHERE sequence = 4", (b"{}",))], 4),
        ([("UPDATE ledger SET facts = ' ' || facts WHERE sequence = 4", ())], 4),
        ([("UPDATE ledger SET facts = ? WHERE sequence = 2", ("[" * 100_000,))], 2),
    ],
)
def test_gross_tampering_is_found(tmp_path: Path, statements: list, first: int) -> None:
    store = Store(tmp_path)
    _fill(store)

    _tamper(tmp_path, *statements)

    with pytest.raises(StoreError, match=f"ledger entry {first} "):
        store.ledger.verify()


def test_an_entry_forged_with_a_good_hash_breaks_the_next(tmp_path: Path) -> None:
    store, other = Store(tmp_path / "a"), Store(tmp_path / "b", clock=lambda: datetime(2020, 1, 1, tzinfo=UTC))
    _fill(store)
    forged = other.ledger.append("run-ended", "run/0", {"loss": 0})

    _tamper(
        store.root,
        (
            "UPDATE ledger SET time = ?, facts = ?, hash = ? WHERE sequence = 1",
            (forged.time, '{"loss":0}', forged.hash),
        ),
    )

    with pytest.raises(StoreError, match="ledger entry 2 does not follow"):
        store.ledger.verify()


def test_a_cut_tail_is_found_by_a_hash_kept_elsewhere(tmp_path: Path) -> None:
    store = Store(tmp_path)
    last = _fill(store)[-1].hash
    assert store.ledger.verify(containing=last) == 5

    _tamper(tmp_path, ("DELETE FROM ledger WHERE sequence = 5", ()))

    assert store.ledger.verify() == 4
    with pytest.raises(StoreError, match=f"ends at entry 4 without the hash {last}"):
        store.ledger.verify(containing=last)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("ledger"))
    _fill(store)
    return store


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET kind = 'x' WHERE sequence = 1",
        "DELETE FROM ledger WHERE sequence = 5",
        "INSERT INTO ledger VALUES (7, 't', 'k', 's', '{}', 'p', 'h')",
        "INSERT INTO ledger SELECT 6, time, kind, subject, facts, previous, 'new' FROM ledger WHERE sequence = 3",
        "INSERT OR REPLACE INTO ledger SELECT 2, time, 'x', subject, facts, previous, 'h' FROM ledger LIMIT 1",
    ],
)
def test_sql_can_neither_change_nor_drop_nor_fork(sound: Store, statement: str) -> None:
    with closing(sqlite3.connect(sound.root / "penjing.db")) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="ledger"):
            connection.execute(statement)
        connection.rollback()

    assert sound.ledger.verify() == 5


def test_the_hash_is_what_sha256sum_says(tmp_path: Path) -> None:
    """Worked out with ``printf '{"facts":…}' | sha256sum``, so that any program can check a ledger."""
    ledger = Store(tmp_path, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC)).ledger

    assert ledger.append("run-ended", "run/1", {"ε": 0.5}).hash == GOLDEN_HASH
