"""Where MLflow is. Promise: a password stands in no recipe, and in no message."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, unquote, urlsplit

from penjing.core.errors import UsageError
from penjing.core.extras import refuse_missing

_FROM_ENVIRONMENT = "env:"
_ALONE = ("databricks", "databricks-uc")
_SERVERS = ("http", "https", *_ALONE)
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_FORM = {"expected": "http://HOST:PORT, sqlite:///FILE or env:VARIABLE that holds such a URI"}
_SECRET = re.compile(r"(?<=//)[^/@\s'\"]+@")


def tracking_uri(said: str) -> str:
    """The URI itself, which may hold a password; never show it.

    Raises:
        UsageError: it is none, or holds a password for all to see.
    """
    uri = said.strip()
    if uri.startswith(_FROM_ENVIRONMENT):
        variable = uri.removeprefix(_FROM_ENVIRONMENT)
        uri = os.environ.get(variable, "").strip()
        if not _is_one(uri):
            raise UsageError(f"the environment variable {variable} holds no tracking URI of MLflow", **_FORM)
        return uri
    if secrets_in(uri):
        raise UsageError(
            "mirrors.mlflow holds a password or a token, which would stand in the version's recipe",
            expected="a URI without one",
            do="Put it into MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN, or the URI into a variable and say "
            "env:VARIABLE.",
        )
    if not _is_one(uri):
        shown = "no tracking URI" if "@" in uri else repr(uri)  # what stands before an @ may be a password
        raise UsageError(f"mirrors.mlflow is {shown}", **_FORM)
    return uri


def _is_one(uri: str) -> bool:
    return uri in _ALONE or ("://" in uri and _kind(uri) in (*_SERVERS, *_DATABASES))


def _kind(uri: str) -> str:
    return uri.partition(":")[0].partition("+")[0].lower()


def refuse_unusable(said: str) -> None:
    """Find out before a run begins what can be known without asking anyone.

    Raises:
        UsageError: see :func:`tracking_uri`.
        ResourceError: a package is not installed (extra ``mlflow``).
    """
    kind = _kind(tracking_uri(said))
    for package in ("mlflow", "sqlalchemy", "alembic") if kind in _DATABASES else ("mlflow",):
        refuse_missing(package, extra="mlflow")


def secrets_in(uri: str) -> list[str]:
    """What of a URI nobody may read, as it stands there and as it is meant."""
    try:
        parts = urlsplit(uri)
        password, user, query = parts.password, parts.username, parse_qsl(parts.query)
    except ValueError:
        return [uri] if "@" in uri else []
    found = [value for key, value in query if re.search("password|passwd|pwd|token|secret", key, re.IGNORECASE)]
    found += [password] if password else []
    found += [user] if user and _kind(uri) in _SERVERS else []  # a token may stand there alone
    return [one for secret in found for one in {secret, unquote(secret)}]


def without_secrets(message: str, uri: str) -> str:
    """A library's words with no password of the URI in them."""
    for secret in sorted(secrets_in(uri), key=len, reverse=True):
        message = message.replace(secret, "***")
    return _SECRET.sub("***@", message)
