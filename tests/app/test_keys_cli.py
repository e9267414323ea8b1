"""``penjing keys`` as it is typed."""

from __future__ import annotations

import json
import stat

import pytest
from typer.testing import CliRunner

from penjing.app.cli import app
from penjing.core.errors import KeyFileError, UsageError
from penjing.security.key_file import read_keys
from penjing.security.keys import parted


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def ran(*words):
        result = CliRunner().invoke(app, ["keys", *words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return ran


def test_from_making_a_key_to_withdrawing_it(run, tmp_path):
    made = run("create", "shop", "--scope", "topics*:predict", "--scope", "*:observe", "--expires", "90d")
    ident, secret = parted(made.stdout.strip())
    assert stat.S_IMODE((tmp_path / "penjing-keys.json").stat().st_mode) == 0o600
    (listed,) = json.loads(run("list", "--json").stdout)
    assert (listed["id"], listed["state"], listed["scopes"]) == (ident, "active", ["topics*:predict", "*:observe"])
    assert ident in run("list").stdout
    later = json.loads(run("rotate", ident, "--json").stdout)
    assert parted(later["key"])[0] == later["id"] != ident
    assert json.loads(run("revoke", "shop", "--json").stdout)["state"] == "revoked"
    assert [key.revoked is None for key in read_keys(tmp_path / "penjing-keys.json").keys] == [False, False]
    assert secret not in run("list").output + run("list", "--json").output


def test_the_file_may_lie_elsewhere_and_only_digests_are_in_it(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_KEYS", str(tmp_path / "below" / "keys.json"))
    made = json.loads(run("create", "a", "--scope", "*:admin", "--requests-per-minute", "9", "--json").stdout)
    assert made["limits"]["requests_per_minute"] == 9
    assert parted(made["key"])[1] not in (tmp_path / "below" / "keys.json").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("create", "a", "--scope", "nothing"),
        ("create", "a\nb", "--scope", "*:predict"),
        ("create", " ", "--scope", "*:predict"),
        ("create", "a", "--scope", "*:predict", "--expires", "2020-01-01"),
        ("create", "a", "--scope", "*:predict", "--expires", "soon"),
        ("rotate", "a", "--overlap", "-1h"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_file_is_made(run, tmp_path, words):
    with pytest.raises(UsageError):
        run(*words)
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_said_to_be_none(run):
    with pytest.raises(KeyFileError, match="penjing keys create"):
        run("list")
