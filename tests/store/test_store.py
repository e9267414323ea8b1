from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from penjing.core.errors import ConflictError, CorruptBundleError, NotFoundError, StoreError, UsageError
from penjing.store import Manifest, Store
from store.making import ENGINE, draft, fill, litter, publish


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_published_version_is_read_back_whole(store: Store) -> None:
    made = publish(store)

    read = store.bundle("newsgroups")

    assert read == made
    assert (store.models(), store.versions("newsgroups")) == (["newsgroups"], [1])
    assert read.path == store.root / "newsgroups" / "1"
    assert read.reference == "newsgroups/1"
    assert read.file("engine/model.xml").read_bytes() == b"<net/>"
    assert read.manifest.labels == ("sport", "体育")
    assert sorted(read.manifest.files) == [
        "checkpoint/model.safetensors",
        "checkpoint/tokenizer.json",
        "engine/model.bin",
        "engine/model.xml",
    ]
    read.verify()
    assert litter(store.root) == []


def test_versions_count_up_and_none_is_the_highest(store: Store) -> None:
    for _ in range(11):
        publish(store)

    assert store.versions("newsgroups") == list(range(1, 12))
    assert store.bundle("newsgroups").manifest.version == 11
    assert store.bundle("newsgroups", 2).manifest.version == 2
    assert store.bundle("newsgroups", "0003").manifest.version == 3


def test_opening_and_reading_an_absent_store_makes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "absent")

    assert (store.models(), store.ledger.entries(), store.ledger.verify(), store.aliases.of("x")) == ([], [], 0, {})
    with pytest.raises(NotFoundError, match="there is none yet"):
        store.bundle("newsgroups")
    assert not store.root.exists()


def test_an_unpublished_stage_leaves_nothing(store: Store) -> None:
    with store.stage("newsgroups") as staging:
        assert staging.path.name.startswith(".staging-")
        assert staging.path.parent == store.root / "newsgroups"
        fill(staging.path)
        assert store.models() == []

    assert list(store.root.iterdir()) == []


def test_an_error_in_the_block_passes_through_and_leaves_nothing(store: Store) -> None:
    with pytest.raises(FileNotFoundError), store.stage("newsgroups") as staging:  # noqa: PT012
        fill(staging.path)
        Path(staging.path / "absent").read_bytes()

    assert list(store.root.iterdir()) == []


def test_publishing_twice_is_refused(store: Store) -> None:
    with store.stage("newsgroups") as staging:
        fill(staging.path)
        staging.publish(draft())
        with pytest.raises(StoreError, match="published already, as newsgroups/1"):
            staging.publish(draft())


def test_a_refused_publication_may_be_mended_and_tried_again(store: Store) -> None:
    with store.stage("newsgroups") as staging:
        fill(staging.path)
        (staging.path / "checkpoint/model.pt").write_bytes(b"")
        with pytest.raises(StoreError, match="has the suffix"):
            staging.publish(draft())
        (staging.path / "checkpoint/model.pt").unlink()
        assert staging.publish(draft()).reference == "newsgroups/1"


def test_a_number_that_an_alien_takes_is_passed_over(store: Store) -> None:
    (store.root / "newsgroups/00000007").mkdir(parents=True)
    (store.root / "newsgroups/8").write_text("a file, not a version")

    assert publish(store).manifest.version == 9
    assert store.versions("newsgroups") == [7, 9]


def test_names_that_are_no_versions_are_skipped(store: Store) -> None:
    made = publish(store)
    for name in ("0", "-1", "1.5", "2a", "２", ".5", "latest", "99999999999999999999"):
        shutil.copytree(made.path, made.path.parent / name)
    (store.root / "not a model/1").mkdir(parents=True)
    (store.root / "empty").mkdir()

    assert store.versions("newsgroups") == [1]
    assert store.models() == ["newsgroups"]


def test_leading_zeros_count(store: Store) -> None:
    made = publish(store)
    made.path.rename(made.path.parent / "00000001")

    assert store.versions("newsgroups") == [1]
    assert store.bundle("newsgroups", 1).path.name == "00000001"
    store.bundle("newsgroups", "1").verify()


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a b", "a\n", "x" * 129, "penjing.db", "penjing.db-wal"])
def test_a_bad_model_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="model name"), store.stage(name):
        pass
    with pytest.raises(NotFoundError):
        store.bundle(name)


def test_what_is_unknown_is_told_with_what_there_is(store: Store) -> None:
    publish(store)
    publish(store, "reviews")
    store.aliases.set("reviews", "stable", version=1)

    with pytest.raises(NotFoundError, match=r"model 'newsgroup' .* newsgroups, reviews.* Did you mean 'newsgroups'\?"):
        store.versions("newsgroup")
    with pytest.raises(NotFoundError, match=r"version '7' is not in model 'reviews'; expected one of: 1"):
        store.bundle("reviews", 7)
    with pytest.raises(NotFoundError, match=r"alias 'stabel' .* Did you mean 'stable'\?"):
        store.bundle("reviews", "stabel")
    with pytest.raises(NotFoundError, match=r"file 'engine/model.onnx' .* Did you mean 'engine/model.xml'\?"):
        store.bundle("reviews", "stable").file("engine/model.onnx")


def test_a_removed_version_is_gone_and_its_number_not_used_again(store: Store) -> None:
    publish(store)
    publish(store)

    store.remove("newsgroups", 2)

    assert store.versions("newsgroups") == [1]
    assert litter(store.root) == []
    assert publish(store).manifest.version == 3
    with pytest.raises(NotFoundError):
        store.remove("newsgroups", 2)


def test_a_version_with_an_alias_is_not_removed(store: Store) -> None:
    publish(store)
    store.aliases.set("newsgroups", "stable", version=1)

    with pytest.raises(ConflictError, match="newsgroups@stable leads to"):
        store.remove("newsgroups", 1)
    store.bundle("newsgroups", "stable").verify()
    store.aliases.delete("newsgroups", "stable")
    store.remove("newsgroups", 1)

    assert store.models() == []


def test_a_manifest_of_another_version_is_refused(store: Store) -> None:
    made = publish(store)
    shutil.copytree(made.path, made.path.parent / "2")

    with pytest.raises(CorruptBundleError, match="holds the manifest of newsgroups/1; expected that of newsgroups/2"):
        store.bundle("newsgroups")


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        (lambda path: path.unlink(), "has no bundle.json"),
        (lambda path: path.write_bytes(b'{"schema_version": 1,'), "is not JSON"),
        (lambda path: path.write_bytes(b"\xff\xff"), "is not JSON"),
        (lambda path: path.write_bytes(b"[" * 100_000), "is not JSON"),
        (lambda path: path.write_bytes(b"[1]"), "holds a list"),
        (lambda path: _edit(path, schema_version=2), r"has schema_version 2; expected schema_version 1"),
        (lambda path: _edit(path, colour="red"), "colour: Extra inputs are not permitted"),
        (lambda path: _edit(path, model="../up"), "model: String should match"),
        (lambda path: _edit(path, files={}), "engine.file names 'engine/model.xml', which the bundle lacks"),
        (lambda path: _rename_file(path, "../../passwd"), "'../../passwd' is not a plain relative path"),
        (lambda path: _rename_file(path, "/etc/passwd"), "'/etc/passwd' is not a plain relative path"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(store: Store, change, clause: str) -> None:
    change(publish(store).path / "bundle.json")

    with pytest.raises(CorruptBundleError, match=clause):
        store.bundle("newsgroups")


def _edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def _rename_file(path: Path, name: str) -> None:
    files = json.loads(path.read_text())["files"]
    _edit(path, files={**files, name: files["engine/model.bin"]})


def test_verify_lists_every_difference(store: Store) -> None:
    made = publish(store)
    (made.path / "engine/model.bin").write_bytes(b"wei9hts")
    (made.path / "engine/model.xml").write_bytes(b"<net></net>")
    (made.path / "checkpoint/tokenizer.json").unlink()
    (made.path / "checkpoint/model.safetensors").unlink()
    (made.path / "checkpoint/model.safetensors").symlink_to(made.path / "bundle.json")
    (made.path / "more.txt").touch()
    (made.path / "bundle.sig").touch()

    with pytest.raises(CorruptBundleError) as caught:
        store.bundle("newsgroups").verify()

    assert caught.value.came.partition(": ")[2].split("; ") == [
        "checkpoint/model.safetensors is neither a file nor a directory",
        "checkpoint/model.safetensors is missing",
        "checkpoint/tokenizer.json is missing",
        "engine/model.bin has changed",
        "engine/model.xml has 11 bytes, not 6",
        "more.txt is not in the manifest",
    ]


def test_a_whole_manifest_given_as_draft_gets_its_own_version(store: Store) -> None:
    first = publish(store).manifest
    with store.stage("reviews") as staging:
        fill(staging.path)
        second = staging.publish(first).manifest

    assert (second.model, second.version) == ("reviews", 1)
    assert isinstance(first, Manifest)
    assert second.engine == ENGINE


def test_history_is_in_the_ledger(store: Store) -> None:
    made = publish(store)
    publish(store)
    store.remove("newsgroups", 2)

    assert [(entry.kind, entry.subject) for entry in store.ledger.entries()] == [
        ("version-published", "newsgroups/1"),
        ("version-published", "newsgroups/2"),
        ("version-removed", "newsgroups/2"),
    ]
    assert store.ledger.entries()[0].facts == {"manifest": made.digest, "task": "text-classification"}
    assert store.ledger.verify() == 3


def test_the_next_opening_records_what_the_ledger_missed(store: Store) -> None:
    made = publish(store)
    publish(store)
    made.path.rename(store.root / "elsewhere")
    assert [entry.kind for entry in Store(store.root).ledger.entries(subject="newsgroups/1")][1:] == ["version-missing"]

    (store.root / "elsewhere").rename(made.path)
    for _ in range(2):
        healed = Store(store.root).ledger.entries(subject="newsgroups/1")[-1]
    assert (healed.kind, healed.facts) == ("version-found", {"manifest": made.digest})
    assert store.ledger.verify() == 4


def test_versions_without_a_database_are_found(store: Store) -> None:
    publish(store)
    publish(store, "reviews")
    (store.root / "penjing.db").unlink()

    found = Store(store.root).ledger.entries(kind="version-found")

    assert [entry.subject for entry in found] == ["newsgroups/1", "reviews/1"]
