"""``penjing models``: what the store holds, and what may be done with it."""

from __future__ import annotations

import json
import re

import penjing as package
from app.calling import penjing
from penjing.store import Store


def test_the_list_for_people_and_for_programs(store):
    Store(store).aliases.set("topics", "stable", version=2)
    ran = penjing("models", "--store", store, "--json")
    assert [(one["model"], one["version"], one["aliases"]) for one in ran.json] == [
        ("topics", 1, []),
        ("topics", 2, ["stable"]),
    ]
    ran = penjing("models", "--store", store)
    assert ran.status == 0
    assert re.search(r"topics/1 +onnxruntime fp32 ", ran.out)
    assert re.search(r"topics/2 +onnxruntime int8 .* stable ", ran.out)
    assert max(map(len, ran.out.splitlines())) <= 100
    assert [one.aliases for one in package.list_versions(store)] == [(), ("stable",)]
    (led,) = penjing("models", "--store", store, "--json", "--set", "aliased=true").json
    assert led["version"] == 2
    assert len(penjing("models", "--store", store, "--json", "--set", "model=topics").json) == 2
    assert "model 'topic' is not in the store" in penjing("models", "--store", store, "--set", "model=topic").err


def test_an_empty_store_says_what_to_do(tmp_path):
    ran = penjing("models", "--store", tmp_path / "none")
    assert ran.status == 0
    assert "none holds no models yet. Make one: penjing finetune --help" in ran.out.replace("\n", "")
    assert penjing("models", "--store", tmp_path / "none", "--json").json == []
    assert not (tmp_path / "none").exists()


def test_show_alias_verify_remove_and_ledger(store):
    assert json.loads(penjing("models", "show", "topics/1", "--store", store).out)["version"] == 1
    ran = penjing("models", "alias", "topics/1", "stable", "--store", store)
    assert ran.out == "topics@stable is now topics/1\n"
    ran = penjing("models", "alias", "topics/1", "stable", "--store", store, "--json")
    assert ran.json == {"model": "topics", "alias": "stable", "version": 1}
    ran = penjing("models", "verify", "topics@stable", "--store", store)
    assert "files as published; 4 ledger entries" in ran.out
    ran = penjing("models", "verify", "topics@stable", "--store", store, "--json")
    assert ran.json["version"] == "topics/1"
    refused = penjing("models", "remove", "topics/1", "--store", store)
    assert refused.status == 1
    assert "topics/1 is what topics@stable leads to" in refused.err
    assert penjing("models", "alias", "topics/2", "stable", "--store", store).status == 0
    assert penjing("models", "remove", "topics/1", "--store", store).out == "Removed topics/1\n"
    ran = penjing("models", "ledger", "--store", store, "--json")
    kinds = [json.loads(line)["kind"] for line in ran.out.splitlines()]
    assert kinds[:2] == ["version-published"] * 2
    assert kinds[-1] == "version-removed"
    assert len(penjing("models", "ledger", "--store", store, "--limit", "1").out.splitlines()) == 1


def test_a_file_that_changed_is_found(store):
    weights = Store(store).bundle("topics", 1).file("checkpoint/model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    ran = penjing("models", "verify", "topics/1", "--store", store)
    assert ran.status == 1
    assert "checkpoint/model.safetensors has changed" in ran.err


def test_a_version_goes_by_its_number_only(store):
    for name in ("topics", "topics@stable"):
        ran = penjing("models", "remove", name, "--store", store)
        assert ran.status == 2
        assert f"{name} names no version number; expected NAME/NUMBER" in ran.err
    assert Store(store).versions("topics") == [1, 2]
