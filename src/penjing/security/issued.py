"""Signed tokens (JWT) of one issuer as credentials: OpenID Connect's, or any that come with a JSON Web Key Set.

Promises: only algorithms of public keys, and of the very kind of the key that the token names; ``iss``, ``aud``,
``exp``, ``nbf`` and ``sub`` are checked; what a token says of where keys lie (``jku``, ``jwk``, ``x5u``) is not looked
at.

Source: RFC 7519; RFC 8725 (best current practices).
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, final

from pydantic import Field

from penjing.core.errors import ResourceError, UnauthenticatedError, UsageError
from penjing.core.extras import require
from penjing.core.nouns import Frozen
from penjing.security.key_set import ALL_ALGORITHMS, KeySet, fetch
from penjing.security.permits import Caller
from penjing.security.scopes import Grants, Scope

_LEEWAY_S = 30
_MOST_KEPT = 1024
_CLAIMS = ("exp", "iss", "aud", "sub")


class TokenIssuer(Frozen):
    """Whose signed tokens (JWT) let in, besides keys.

    Attributes:
        issuer: the token's ``iss``, as it stands there.
        audience: what ``aud`` must hold.
        jwks: file or https URL of the issuer's public keys; None asks the issuer by OpenID Connect's discovery.
        scopes_claim: the claim that holds scopes, ``MODELS:ROLE``, as a list or with blanks between them.
    """

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    jwks: str | None = None
    scopes_claim: str = "scope"


class _Known(NamedTuple):
    caller: Caller
    until: float


@final
class IssuedTokens:
    """See the module.

    Args:
        told: whose.
        clock: seconds since 1970, for tokens that were verified before.

    Raises:
        ResourceError: the issuer's keys cannot be had, or PyJWT is not installed.
    """

    def __init__(self, told: TokenIssuer, *, clock: Callable[[], float] = time.time) -> None:
        self._jwt: Any = require("jwt", extra="tokens")
        self._told, self._clock = told, clock
        self._known: dict[bytes, _Known] = {}
        self._keys = KeySet(told.jwks or _discovered(told.issuer), on_change=self._known.clear)

    def identify(self, text: str) -> Caller:
        """Whose token this is.

        Raises:
            UnauthenticatedError: it is not good; says why, and nothing of what it holds.
        """
        self._keys.look_again()
        digest = hashlib.sha256(text.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._clock() < known.until:
            return known.caller
        claims = self._claims(text)
        subject = re.sub(r"[^\w.@:|-]", "?", str(claims["sub"]), flags=re.ASCII)[:64]  # it will stand in logs
        caller = Caller(f"token:{subject}", Grants(_scopes(claims.get(self._told.scopes_claim))))
        while len(self._known) >= _MOST_KEPT:
            self._known.pop(next(iter(self._known)), None)
        self._known[digest] = _Known(caller, float(claims["exp"]))
        return caller

    def _claims(self, text: str) -> dict[str, Any]:
        jwt = self._jwt
        try:
            header = jwt.get_unverified_header(text)
            algorithm, ident = header.get("alg"), header.get("kid")
            if algorithm not in ALL_ALGORITHMS or not isinstance(ident, str):
                raise UnauthenticatedError("the token is not signed with a public key that it names by kid")
            key = self._keys.find(ident, algorithm)
            if key is None:
                raise UnauthenticatedError("the token names a key that its issuer has not for this algorithm")
            told = self._told
            return jwt.decode(  # type: ignore[no-any-return]
                text, key, algorithms=[algorithm], audience=told.audience, issuer=told.issuer, leeway=_LEEWAY_S,
                options={"require": list(_CLAIMS)},
            )  # fmt: skip
        except jwt.ExpiredSignatureError as error:
            raise UnauthenticatedError("the token has expired", do="Get a new one.") from error
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            why = type(error).__name__.removesuffix("Error")
            raise UnauthenticatedError(f"the token is not good ({why})", do="Get one for this server.") from None


def _scopes(claim: Any) -> list[Scope]:
    """Those of a claim that are scopes of ours; others, such as ``openid``, are for somebody else."""
    words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    found = []
    for word in words[:256]:
        try:
            found.append(Scope.parse(str(word)))
        except UsageError:
            continue
    return found


def _discovered(issuer: str) -> str:
    """Where an issuer says that its keys are. Source: OpenID Connect Discovery 1.0, §4."""
    place = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        told = json.loads(fetch(place))
        if told["issuer"] != issuer:
            raise ValueError(f"it is of {str(told['issuer'])[:80]!r}")
        return str(told["jwks_uri"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResourceError(
            f"{place} tells no keys: {error}", expected="OpenID Connect's discovery", do="Name them in tokens.jwks."
        ) from error
