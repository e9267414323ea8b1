"""Where MLflow is, and that no password of it is ever shown."""

from __future__ import annotations

import pytest

from penjing.app.mirrors import address
from penjing.app.mirrors.address import tracking_uri, without_secrets
from penjing.core.errors import PenjingError, ResourceError, UsageError

SECRET = "hunter2"


@pytest.mark.parametrize(
    "said",
    ["http://host:5000", "https://host/mlflow", "sqlite:///runs/mlflow.db", "databricks", "databricks://profile",
     "postgresql://me@host/runs", "mysql+pymysql://host/runs"],
)  # fmt: skip
def test_a_uri_is_taken_as_it_is(said):
    assert tracking_uri(said) == said


@pytest.mark.parametrize("said", ["", "mlruns", "./mlruns", "file:///tmp/mlruns", "ftp://host", "http", "env:NOWHERE"])
def test_anything_else_is_refused(said, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(UsageError, match="http://HOST:PORT"):
        tracking_uri(said)


@pytest.mark.parametrize(
    "said",
    [f"http://me:{SECRET}@host:5000", f"https://{SECRET}@host", f"postgresql://me:{SECRET}@host/runs",
     f"postgresql://host/runs?password={SECRET}", f"https://host?token={SECRET}", f"me:{SECRET}@host",
     f"http://me:{SECRET}@[host"],
)  # fmt: skip
def test_a_password_is_refused_and_not_repeated(said):
    with pytest.raises(UsageError) as refused:
        tracking_uri(said)
    assert SECRET not in str(refused.value)


def test_a_variable_may_hold_one(monkeypatch):
    monkeypatch.setenv("TRACKING", f" http://me:{SECRET}@host ")
    assert tracking_uri("env:TRACKING") == f"http://me:{SECRET}@host"
    monkeypatch.setenv("TRACKING", f"nothing:{SECRET}")
    with pytest.raises(UsageError, match="TRACKING") as refused:
        tracking_uri("env:TRACKING")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://me:hunter2@host", "API request to http://me:hunter2@host/api failed"),
        ("http://me:hunter%402@host", "wrong password 'hunter@2' (hunter%402)"),
        ("http://host", "Location: https://hunter2@elsewhere/"),
        ("postgresql://host/runs?password=hunter2", "connection to host refused for hunter2"),
    ],
)
def test_a_librarys_words_are_shown_without_it(uri, message):
    shown = without_secrets(message, uri)
    assert "hunter" not in shown
    assert "***" in shown


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "alembic" else name)
    address.refuse_unusable("http://host")
    with pytest.raises(ResourceError, match=r"penjing\[mlflow\]"):
        address.refuse_unusable("sqlite:///runs.db")
    assert issubclass(ResourceError, PenjingError)
