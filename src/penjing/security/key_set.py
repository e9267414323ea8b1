"""The public keys of a token issuer (JWKS, RFC 7517), from a file or a URL, and which algorithm each is for.

Promises: an algorithm is never one that a token chooses for a key of another kind, so that no public key becomes a
shared secret; keys that are shared secrets are not taken at all; where the set cannot be read anew, the last one stays
in use. Only the place that the operator named is asked, never one that a token names, and no redirect is followed.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

from penjing.core.errors import ResourceError
from penjing.core.extras import require

_LOG = logging.getLogger(__name__)
_FILE_EVERY_S, _URL_EVERY_S, _UNKNOWN_EVERY_S = 0.25, 300.0, 30.0
_MOST_BYTES, _TIMEOUT_S = 1 << 20, 5.0
# RFC 7518 §3.1, RFC 8037 §3.1: kind and curve of a key → what it may sign with.
ALGORITHMS: Mapping[tuple[str, str], frozenset[str]] = {
    ("RSA", ""): frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
ALL_ALGORITHMS = frozenset().union(*ALGORITHMS.values())

Keys = Mapping[tuple[str, str], Any]


@final
class KeySet:
    """See the module.

    Args:
        place: a path, or a URL: https, or http on this machine.
        on_change: is called when other keys were read.

    Raises:
        ResourceError: they cannot be read now, there is none that can be used, or PyJWT is not installed.
    """

    def __init__(self, place: str, *, on_change: Callable[[], None]) -> None:
        self._place, self._on_change = place, on_change
        self._is_url = place.startswith(("http://", "https://"))
        self._keys = self._read()
        self._stamp = self._stamp_now()
        self._looked_at = time.monotonic()
        self._reading = threading.Lock()

    def find(self, ident: str, algorithm: str) -> Any:
        """The key of an id, if it is for this algorithm; None if there is none. Never waits for the network."""
        self.look_again()
        found = self._keys.get((ident, algorithm))
        if found is None:
            self.look_again(is_unknown=True)
        return found

    def look_again(self, *, is_unknown: bool = False) -> None:
        """Read the keys anew where it is time; from a URL in a thread of its own."""
        every = _FILE_EVERY_S if not self._is_url else _UNKNOWN_EVERY_S if is_unknown else _URL_EVERY_S
        now = time.monotonic()
        if now - self._looked_at < every:
            return
        self._looked_at = now
        if self._is_url:
            threading.Thread(target=self._take_up, name="token keys", daemon=True).start()
        elif (stamp := self._stamp_now()) != self._stamp:
            self._stamp = stamp
            self._take_up()

    def _take_up(self) -> None:
        if not self._reading.acquire(blocking=False):
            return
        try:
            self._keys = self._read()
            self._on_change()
        except ResourceError as error:
            _LOG.error("the token keys that were read last stay in use: %s", error)
        finally:
            self._reading.release()

    def _read(self) -> Keys:
        try:
            told = json.loads(fetch(self._place) if self._is_url else Path(self._place).read_bytes())
            listed = told["keys"]
            keys = {name: key for one in listed for name, key in _usable(one).items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ResourceError(f"no token keys at {self._place}: {error!r}", expected="a JSON Web Key Set") from error
        if not keys:
            raise ResourceError(f"{self._place} holds no key that can be used", expected="RSA, EC or Ed25519, with kid")
        return keys

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            found = None if self._is_url else Path(self._place).stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None


def _usable(one: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """The key under its id and each algorithm that it may be used with; empty for what cannot sign tokens."""
    allowed = ALGORITHMS.get((str(one.get("kty")), str(one.get("crv", ""))), frozenset())
    if "alg" in one:
        allowed &= {one["alg"]}
    if not allowed or one.get("use", "sig") != "sig" or not isinstance(one.get("kid"), str):
        return {}
    jwt = require("jwt", extra="tokens")
    try:
        key = jwt.PyJWK(dict(one), algorithm=min(allowed)).key
    except jwt.PyJWTError as error:
        raise ValueError(f"key {one['kid'][:40]!r}: {error}") from error
    return {(one["kid"], algorithm): key for algorithm in allowed}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows none: the place was chosen by the operator."""

    def redirect_request(self, *_args: Any, **_told: Any) -> None:
        return None


def fetch(url: str) -> bytes:
    """A small document from a URL that an operator named.

    Raises:
        OSError: it is not to be had.
        ValueError: the URL is not https, or the document is too large.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_here(parts.hostname or ""):
        raise ValueError(f"{url} is not https")
    with urllib.request.build_opener(_NoRedirect).open(url, timeout=_TIMEOUT_S) as reply:
        content: bytes = reply.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES} bytes")
    return content


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
