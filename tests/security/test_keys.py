"""Keys: their form, their file, what is shown of them and what is not."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from penjing.core.errors import KeyFileError, UsageError
from penjing.security.key_file import add_key, read_keys, revoke_key, rotate_key
from penjing.security.keys import Limits, new_key, parted, redacted
from penjing.security.scopes import Grants, Scope, Verb

ASKS = (Scope.parse("topics*:predict"),)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


def test_a_key_is_an_id_and_256_random_bits_of_which_a_digest_is_kept(file):
    made = new_key("shop", ASKS)
    ident, secret = parted(made.text)
    assert (ident, len(bytes.fromhex(secret))) == (made.key.id, 32)
    assert made.key.fits(secret)
    assert not made.key.fits(secret[:-1] + ("0" if secret[-1] != "0" else "1"))
    add_key(file, made)
    assert secret not in file.read_text()
    assert read_keys(file).keys == (made.key,)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len({new_key("a", ASKS).text for _ in range(200)}) == 200


@pytest.mark.parametrize(
    "text", ["", "pj_", "pj_aaaaaaaaaaaa_", "pj_AAAAAAAAAAAA_" + "0" * 64, "pj_aaaaaaaaaaaa_" + "0" * 63 + "G",
             "pj_aaaaaaaaaaaa_" + "0" * 65, "pj_aaaaaaaaaaaa_" + "0" * 64 + "\n", "ｐj_aaaaaaaaaaaa_" + "0" * 64],
)  # fmt: skip
def test_what_has_not_the_form_of_a_key(text):
    assert parted(text) is None


def test_secrets_can_be_taken_out_of_texts():
    made = new_key("shop", ASKS)
    assert redacted(f"got {made.text}!") == f"got pj_{made.key.id}_…!"


def test_a_key_ends(file):
    now = datetime.now(UTC)
    made = new_key("shop", ASKS, expires=now + timedelta(hours=1), limits=Limits(requests_per_minute=5))
    assert [made.key.state(now + timedelta(hours=hours)) for hours in (0, 1)] == ["active", "expired"]
    add_key(file, made)
    assert revoke_key(file, "shop").state(datetime.now(UTC)) == "revoked"
    with pytest.raises(KeyFileError, match="no such key"):
        revoke_key(file, "shop")  # by name only active ones
    assert revoke_key(file, made.key.id).revoked is not None


def test_a_rotated_key_has_a_successor_of_the_same_scopes_and_overlaps_as_told(file):
    made = new_key("shop", ASKS, expires=datetime.now(UTC) + timedelta(days=9), limits=Limits(tokens_per_day=7))
    add_key(file, made)
    later, old = rotate_key(file, "shop", overlap=timedelta(hours=1))
    assert (later.key.scopes, later.key.limits, later.key.name) == (ASKS, made.key.limits, "shop")
    assert later.key.expires - later.key.created == pytest.approx(timedelta(days=9), abs=timedelta(minutes=1))
    assert timedelta(minutes=59) < old.expires - datetime.now(UTC) <= timedelta(hours=1)
    with pytest.raises(KeyFileError, match="2 active keys"):
        rotate_key(file, "shop", overlap=timedelta())
    _, gone = rotate_key(file, later.key.id, overlap=timedelta())
    assert gone.state(datetime.now(UTC)) == "revoked"
    with pytest.raises(KeyFileError, match="is revoked"):
        rotate_key(file, gone.id, overlap=timedelta())


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"format": 2}', b'{"keys": [{"id": "x"}]}', b'{"other": 1}', b"\xff\xfe", b'{"keys": null}'],
)
def test_a_broken_file_is_an_error_that_shows_nothing_of_it(file, content):
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(KeyFileError, match="no file of keys"):
        read_keys(file)
    with pytest.raises(KeyFileError):
        add_key(file, new_key("shop", ASKS))
    assert file.read_bytes() == content


def test_a_wrong_field_is_named_and_its_value_is_not(file):
    made = new_key("shop", ASKS)
    add_key(file, made)
    told = json.loads(file.read_text())
    told["keys"][0]["digest"] = "precious"
    file.write_text(json.dumps(told))
    with pytest.raises(KeyFileError, match=r"keys\.0\.digest") as caught:
        read_keys(file)
    assert "precious" not in str(caught.value)
    told["keys"] = [json.loads(made.key.model_dump_json())] * 2
    file.write_text(json.dumps(told))
    with pytest.raises(KeyFileError, match="same id"):
        read_keys(file)


def test_a_file_that_others_may_write_to_is_refused(file):
    add_key(file, new_key("shop", ASKS))
    file.chmod(0o620)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_keys(file)


def test_those_who_add_at_once_lose_nothing(file):
    """Threads stand for processes: each opens the lock for itself."""
    adding = [Thread(target=lambda: [add_key(file, new_key("a", ASKS)) for _ in range(5)]) for _ in range(3)]
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join()
    assert len(read_keys(file).keys) == 15


@pytest.mark.parametrize(
    ("scopes", "verb", "name", "may"),
    [
        ("topics:predict", Verb.PREDICT, "topics", True),
        ("topics:predict", Verb.LOOK, "topics", True),
        ("topics:predict", Verb.PREDICT, "topics2", False),
        ("topics:predict", Verb.PREDICT, "Topics", False),
        ("topics:predict", Verb.OPERATE, "topics", False),
        ("topics*:predict", Verb.PREDICT, "topics2", True),
        ("*-de:predict", Verb.PREDICT, "en-de", True),
        ("a.c:predict", Verb.PREDICT, "abc", False),
        ("*:predict", Verb.PREDICT, "knowledge/shop", True),
        ("knowledge/*:predict", Verb.PREDICT, "shop", False),
        ("topics:feedback", Verb.LOOK, "topics", False),
        ("*:admin", Verb.OBSERVE, "anything", True),
        ("a:predict b:operate", Verb.OPERATE, "a", False),
        ("a:predict b:operate", Verb.OPERATE, "b", True),
        ("*:predict", Verb.PREDICT, "line\nbreak", True),
        ("a*:predict", Verb.PREDICT, "../a", False),
        ("", Verb.LOOK, "a", False),
    ],
)
def test_what_a_scope_gives(scopes, verb, name, may):
    assert Grants(map(Scope.parse, scopes.split())).may(verb, name) is may


def test_only_the_star_alone_is_everywhere():
    grants = Grants([Scope.parse("*:observe"), Scope.parse("a*:operate")])
    assert grants.may_everywhere(Verb.OBSERVE)
    assert not grants.may_everywhere(Verb.OPERATE)
    assert grants.may_somewhere(Verb.OPERATE)
    assert not grants.may_somewhere(Verb.PREDICT)


@pytest.mark.parametrize("text", ["", "a", ":predict", "a:", "a:root", "a b:predict", "[a]:predict", "a\n:predict"])
def test_what_is_no_scope(text):
    with pytest.raises(UsageError, match="MODELS:ROLE"):
        Scope.parse(text)
