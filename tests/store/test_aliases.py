from __future__ import annotations

from pathlib import Path

import pytest

from penjing.core.errors import ConflictError, NotFoundError, UsageError
from penjing.store import Expect, Store
from store.making import publish


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    publish(store)
    publish(store)
    return store


def test_an_alias_leads_to_its_version(store: Store) -> None:
    store.aliases.set("newsgroups", "stable", version=1)
    store.aliases.set("newsgroups", "canary", version=2)

    assert store.aliases.get("newsgroups", "stable") == 1
    assert store.bundle("newsgroups", "canary").manifest.version == 2
    assert store.aliases.of("newsgroups") == {"canary": 2, "stable": 1}
    assert store.aliases.of("reviews") == {}


def test_each_change_has_its_entry(store: Store) -> None:
    store.aliases.set("newsgroups", "stable", version=1)
    entry = store.aliases.set("newsgroups", "stable", version=2, facts={"gate": "passed"})
    store.aliases.delete("newsgroups", "stable", expect=2)

    assert entry.facts == {"from": 1, "to": 2, "gate": "passed"}
    assert [(e.kind, e.facts["from"], e.facts["to"]) for e in store.ledger.entries(subject="newsgroups@stable")] == [
        ("alias-set", None, 1),
        ("alias-set", 1, 2),
        ("alias-deleted", 2, None),
    ]
    with pytest.raises(NotFoundError):
        store.aliases.get("newsgroups", "stable")


@pytest.mark.parametrize("expect", [Expect.ABSENT, 2])
def test_a_change_that_expects_otherwise_is_refused_and_changes_nothing(store: Store, expect: int | Expect) -> None:
    store.aliases.set("newsgroups", "stable", version=1, expect=Expect.ABSENT)
    before = store.ledger.verify()

    with pytest.raises(ConflictError, match="newsgroups@stable leads to version 1"):
        store.aliases.set("newsgroups", "stable", version=2, expect=expect)
    with pytest.raises(ConflictError, match="newsgroups@canary does not exist; expected version 1"):
        store.aliases.set("newsgroups", "canary", version=2, expect=1)

    assert (store.aliases.of("newsgroups"), store.ledger.verify()) == ({"stable": 1}, before)
    store.aliases.set("newsgroups", "stable", version=2, expect=1)


def test_an_entry_that_cannot_be_written_leaves_the_alias(store: Store) -> None:
    with pytest.raises(UsageError, match="facts of a ledger entry"):
        store.aliases.set("newsgroups", "stable", version=1, facts={"why": object()})

    assert store.aliases.of("newsgroups") == {}


def test_an_alias_needs_a_version_that_exists(store: Store) -> None:
    with pytest.raises(NotFoundError, match="version '3'"):
        store.aliases.set("newsgroups", "stable", version=3)
    with pytest.raises(NotFoundError, match="model 'newsgroup'"):
        store.aliases.set("newsgroup", "stable", version=1)
    with pytest.raises(NotFoundError, match="alias 'stable'"):
        store.aliases.delete("newsgroups", "stable")


@pytest.mark.parametrize("name", ["", "2", "2nd", "a/b", "a b", ".a", "a\n", "x" * 65])
def test_a_bad_alias_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="alias"):
        store.aliases.set("newsgroups", name, version=1)
