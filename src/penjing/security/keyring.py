"""The keys of a file in memory, followed while the file changes.

Promises: a key that is withdrawn in the file is refused within ``LOOK_EVERY_S``; a file that breaks or goes away
changes nothing, and is said once; a wrong secret takes as long to refuse as a right one to accept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, final

from penjing.core.errors import KeyFileError, UnauthenticatedError
from penjing.security.key_file import read_keys
from penjing.security.keys import Key, Limits, new_key, parted
from penjing.security.meters import LimitMeter
from penjing.security.permits import Caller
from penjing.security.scopes import Grants, Role, Scope

_LOG = logging.getLogger(__name__)
LOOK_EVERY_S = 0.25

Stamp = tuple[int, int, int] | None


class _Held(NamedTuple):
    key: Key
    caller: Caller


@final
class Keyring:
    """See the module.

    Args:
        path: the file.
        shares: among how many processes the limits of keys are shared out.
        clock: seconds since 1970.

    Raises:
        KeyFileError: the file cannot be used, or holds no key that is good now.
    """

    def __init__(self, path: Path, *, shares: int = 1, clock: Callable[[], float] = time.time) -> None:
        self._path, self._shares, self._clock = path, shares, clock
        self._stamp, self._looked_at = _stamp(path), time.monotonic()
        self._held: dict[str, _Held] = {}
        self._held = {key.id: self._hold(key) for key in read_keys(path).keys}
        self._decoy = new_key("decoy", [Scope(models="*", role=Role.PREDICT)]).key
        now = self._now()
        if not any(held.key.state(now) == "active" for held in self._held.values()):
            raise KeyFileError(
                f"{path} holds no key that is good now", expected="at least one", do="Make one: penjing keys create."
            )

    def identify(self, text: str) -> Caller:
        """Whose key this is.

        Raises:
            UnauthenticatedError: nobody's, or not any more.
        """
        self._look_again()
        id_and_secret = parted(text)
        if id_and_secret is None:
            raise UnauthenticatedError("the credential has not the form of a key", expected="pj_<id>_<secret>")
        ident, secret = id_and_secret
        held = self._held.get(ident)
        if not (held.key if held else self._decoy).fits(secret) or held is None:
            raise UnauthenticatedError("the key is unknown", expected="one of this server's keys")
        state = held.key.state(self._now())
        if state != "active":
            raise UnauthenticatedError(f"key {ident} is {state}", do="Ask the operator for another.")
        return held.caller

    def _hold(self, key: Key) -> _Held:
        before = self._held.get(key.id)
        if before is not None and before.key.limits == key.limits:
            meter = before.caller.meter  # what was counted stays counted
        else:
            meter = None if key.limits == Limits() else LimitMeter(key.limits, shares=self._shares, clock=self._clock)
        return _Held(key, Caller(f"key:{key.id}", Grants(key.scopes), meter))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _look_again(self) -> None:
        """Take up the file if it has changed. Cheap enough for the path of every request."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._held = {key.id: self._hold(key) for key in read_keys(self._path).keys}
        except KeyFileError as error:
            _LOG.error("the keys that were read last stay in use: %s", error)
        else:
            _LOG.info("%s was read anew: %d keys", self._path, len(self._held))


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
