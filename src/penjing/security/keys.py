"""API keys: made once, shown once, kept as digests.

A key is ``pj_<id>_<secret>``: the id names it in lists and logs, the secret is 256 random bits. What is kept is SHA-256
over both. A slow password hash would protect nothing more: those make guessing dear, and 256 bits cannot be guessed,
while each request would pay for it. Whoever reads the file learns no key; whoever can write it can make one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Self

from pydantic import AwareDatetime, Field, model_validator

from penjing.core.nouns import Frozen
from penjing.security.scopes import Scope

_FORM = re.compile(r"pj_([a-z2-7]{12})_([0-9a-f]{64})")
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LETTERS, _SECRET_BYTES = 12, 32
_DOMAIN = b"penjing api key 1"  # so that the digest is one of nothing else
ID_PATTERN = r"^[a-z2-7]{12}$"


class Limits(Frozen):
    """How much the holder of a key may ask for; None is as much as the server can do.

    Attributes:
        requests_per_minute: as many at once, and then so many a minute.
        tokens_per_day: tokens read and written in 24 hours.
    """

    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_day: int | None = Field(default=None, ge=1)


class Key(Frozen):
    """What is kept of a key.

    Attributes:
        id: its public part.
        name: who or what it is for.
        digest: hex SHA-256 of id and secret.
        scopes: what it lets its holder do.
        created: when it was made.
        expires: from when on it is refused; None never.
        revoked: when it was withdrawn; None is not.
        limits: how much may be asked for with it.
    """

    id: str = Field(pattern=ID_PATTERN)
    name: str = Field(min_length=1, max_length=128)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: tuple[Scope, ...] = Field(min_length=1)
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    limits: Limits = Limits()

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """What became of it."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    def fits(self, secret: str) -> bool:
        """Whether a secret is this key's; as long for a wrong one as for the right one."""
        return hmac.compare_digest(self.digest, digest_of(self.id, secret))


class KeyFile(Frozen):
    """The content of a file of keys.

    Attributes:
        format: of the file.
        keys: all of them, withdrawn ones included, oldest first.
    """

    format: Literal[1] = 1
    keys: tuple[Key, ...] = ()

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len({key.id for key in self.keys}) != len(self.keys):
            raise ValueError("two keys have the same id")
        return self


class Shown(NamedTuple):
    """A key at the only time that its secret is known.

    Attributes:
        key: what is kept.
        text: what its holder is given.
    """

    key: Key
    text: str


def new_key(
    name: str, scopes: Iterable[Scope], *, expires: datetime | None = None, limits: Limits | None = None
) -> Shown:
    """Make a key."""
    ident = "".join(secrets.choice(_LETTERS) for _ in range(_ID_LETTERS))
    secret = secrets.token_hex(_SECRET_BYTES)
    key = Key(
        id=ident,
        name=name,
        digest=digest_of(ident, secret),
        scopes=tuple(scopes),
        created=datetime.now(UTC),
        expires=expires,
        limits=limits or Limits(),
    )
    return Shown(key, f"pj_{ident}_{secret}")


def digest_of(ident: str, secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(b"\0".join((_DOMAIN, ident.encode(), secret.encode()))).hexdigest()


def parted(text: str) -> tuple[str, str] | None:
    """Id and secret of a key; None where it has not the form of one."""
    found = _FORM.fullmatch(text)
    return (found[1], found[2]) if found else None


def redacted(text: str) -> str:
    """A text without the secrets of keys in it, for logs and errors."""
    return re.sub(r"pj_([a-z2-7]{12})_[0-9a-f]+", r"pj_\1_…", text)
