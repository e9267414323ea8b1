"""The audit log: every way to touch it is found, and what strangers send cannot harm it."""

from __future__ import annotations

import json
import stat
from threading import Thread

import pytest
from typer.testing import CliRunner

from penjing.app.cli import app
from penjing.core.errors import AuditError, ResourceError, UsageError
from penjing.security.audit import AuditLog, Head, verify


@pytest.fixture
def file(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def written(file):
    log = AuditLog(file)
    for number in range(6):
        log.record("allowed", caller="key:a", what=f"load {number}", peer="127.0.0.1")
    return file


def test_a_chain_that_stands_is_told_its_head(written):
    head = verify(written)
    assert head.n == 6
    assert verify(written, head=head) == head
    AuditLog(written).record("allowed", caller="key:a", what="more")
    assert verify(written, head=head).n == 7
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


def lines(file):
    return file.read_bytes().splitlines(keepends=True)


def again(line, **changes):
    """A line changed, with a hash that is right again."""
    from penjing.core.files import canonical_json, digest

    told = json.loads(line) | changes
    del told["hash"]
    return canonical_json(told | {"hash": digest(told)}) + b"\n"


TOUCHED = {
    "a byte": lambda all_: [*all_[:2], all_[2].replace(b"load 2", b"load 9"), *all_[3:]],
    "a byte, hashed anew": lambda all_: [*all_[:2], again(all_[2], what="load 9"), *all_[3:]],
    "removed": lambda all_: [*all_[:2], *all_[3:]],
    "the first removed": lambda all_: all_[1:],
    "moved": lambda all_: [all_[1], all_[0], *all_[2:]],
    "doubled": lambda all_: [*all_[:3], all_[2], *all_[3:]],
    "put in": lambda all_: [*all_[:3], again(all_[2], n=4), *all_[3:]],
    "spaces": lambda all_: [*all_[:2], all_[2].replace(b'":', b'": '), *all_[3:]],
    "a key twice": lambda all_: [*all_[:2], all_[2].replace(b'{"', b'{"what":"x","', 1), *all_[3:]],
    "a field more": lambda all_: [*all_[:2], again(all_[2], extra=1), *all_[3:]],
    "empty": lambda all_: [*all_[:2], b"\n", *all_[2:]],
    "no JSON": lambda all_: [*all_, b"nonsense\n"],
    "the last cut short": lambda all_: [*all_[:5], all_[5][:40]],
}


@pytest.mark.parametrize("how", TOUCHED)
def test_what_was_touched_is_found(written, how):
    written.write_bytes(b"".join(TOUCHED[how](lines(written))))
    with pytest.raises(AuditError, match="line"):
        verify(written)


def test_every_single_bit_counts(written):
    good = written.read_bytes()
    for place in range(0, len(good), 7):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        written.write_bytes(bad)
        with pytest.raises(AuditError):
            verify(written)


def test_a_cut_end_and_a_chain_written_anew_are_found_by_a_kept_head(written, tmp_path):
    head = verify(written)
    for count in (0, 3, 5):
        short = tmp_path / f"{count}.jsonl"
        short.write_bytes(b"".join(lines(written)[:count]))
        verify(short)
        with pytest.raises(AuditError, match="does not hold the head"):
            verify(short, head=head)
    other = AuditLog(tmp_path / "other.jsonl")
    for number in range(9):
        other.record("allowed", caller="key:b", what=f"load {number}")
    with pytest.raises(AuditError, match="does not hold the head"):
        verify(tmp_path / "other.jsonl", head=head)


def test_what_a_crash_cut_short_is_taken_away(written):
    written.write_bytes(written.read_bytes() + b'{"n": 7, "ev')
    AuditLog(written).record("allowed", caller="key:a", what="after")
    assert verify(written).n == 7


def test_several_writers_make_one_chain(file):
    logs = [AuditLog(file) for _ in range(3)]
    writing = [
        Thread(target=lambda log=log: [log.record("x", caller="a", what="b") for _ in range(20)]) for log in logs
    ]
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join()
    assert verify(file).n == 60


def test_a_flood_is_counted_and_not_written(file):
    log = AuditLog(file)
    for _ in range(500):
        log.note("refused", caller="nobody", what="GET /")
    log._second = -1  # as if a second had passed
    log.note("refused", caller="nobody", what="GET /last")
    told = [json.loads(line) for line in lines(file)]
    assert len(told) < 100
    assert sum(1 + line["facts"].get("left_out", 0) for line in told) == 501
    verify(file)


def test_what_strangers_send_stays_in_its_line(file):
    log = AuditLog(file)
    log.record("refused", caller="a\nb", what='GET /\r\n{"n":9}\x1b[2J' + "x" * 5000 + "\ud800", why="é\u2028")
    assert len(file.read_bytes().split(b"\n")) == 2
    assert len(file.read_bytes()) < 3000
    assert verify(file).n == 1


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ResourceError, match="cannot be written"):
        AuditLog(tmp_path / "none" / "audit.jsonl")
    with pytest.raises(ResourceError, match="cannot be read"):
        verify(tmp_path / "absent.jsonl")


def test_the_command(written):
    head = str(verify(written))
    done = CliRunner().invoke(app, ["audit", "verify", str(written), "--head", head, "--json"])
    assert json.loads(done.stdout) == {"file": str(written), "entries": 6, "head": head}
    assert head in CliRunner().invoke(app, ["audit", "verify", str(written)]).stdout
    written.write_bytes(b"".join(lines(written)[:-1]))
    done = CliRunner().invoke(app, ["audit", "verify", str(written), "--head", head])
    assert isinstance(done.exception, AuditError)
    for wrong in ("7", "x:y", f"1:{'g' * 64}"):
        with pytest.raises(UsageError):
            Head.parse(wrong)


def test_keys_are_written_down_without_their_secrets(tmp_path, file):
    def keys(*words):
        options = ["--keys", str(tmp_path / "keys.json"), "--audit-log", str(file)]
        return CliRunner().invoke(app, ["keys", *words, *options]).stdout.strip()

    made = [keys("create", "shop", "--scope", "m:predict"), keys("rotate", "shop")]
    keys("revoke", "shop")
    told = [json.loads(line) for line in lines(file)]
    assert [line["event"] for line in told] == ["key-created", "key-rotated", "key-revoked"]
    assert all(text[-64:] not in file.read_text() for text in made)
    assert verify(file).n == 3
