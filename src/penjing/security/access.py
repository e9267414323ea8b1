"""From a request's credentials to its permit: the one decision for every protocol.

A credential comes as ``Authorization: Bearer …``, ``x-api-key`` or ``api-key``; over gRPC as metadata of these names.
Exactly one may come: two, even alike, are what smuggling looks like. What is open is open to bad credentials, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, final

from penjing.core.errors import ForbiddenError, QuotaError, UnauthenticatedError
from penjing.security.audit import AuditLog
from penjing.security.needs import Need
from penjing.security.permits import NOBODY, OWNER, Caller, Permit, current, give
from penjing.security.scopes import Verb

_AUTHORIZATION = "authorization"
CREDENTIALS = frozenset({_AUTHORIZATION, "x-api-key", "api-key"})
_LONGEST = 8192
_WRITTEN_DOWN = frozenset({Verb.OPERATE, Verb.ADMIN})
_HOW = "Authorization: Bearer KEY, or x-api-key: KEY"

Headers = Iterable[tuple[str, str]]


class Identifies(Protocol):
    """Knows one kind of credential."""

    def identify(self, text: str) -> Caller:
        """Whose credential it is; raises UnauthenticatedError."""


class Access(Protocol):
    """Decides what a request may do."""

    def admit(self, credentials: Headers, need: Need | None, *, name: str | None = None) -> Permit:
        """See :meth:`Controlled.admit`."""

    def allowed(self, permit: Permit, *, what: str, peer: str) -> None:
        """See :meth:`Controlled.allowed`."""

    def refused(self, error: Exception, *, what: str, peer: str) -> None:
        """See :meth:`Controlled.refused`."""


@final
class KeysOrTokens:
    """Two kinds of credentials, told apart by their form.

    Args:
        keys: knows keys; None where there are none.
        tokens: knows signed tokens, which have two dots; None where there are none.
    """

    def __init__(self, keys: Identifies | None, tokens: Identifies | None) -> None:
        self._keys, self._tokens = keys, tokens

    def identify(self, text: str) -> Caller:
        """See :class:`Identifies`."""
        who = self._tokens if text.count(".") == 2 else self._keys
        if who is None:
            raise UnauthenticatedError("the credential is of no kind that is known here")
        return who.identify(text)


@final
class Controlled:
    """See the module.

    Args:
        identities: who can be known.
        audit: where it is written down who was refused, and who operated what; None is nowhere.
    """

    def __init__(self, identities: Identifies, audit: AuditLog | None = None) -> None:
        self._identities, self._audit = identities, audit

    def admit(self, credentials: Headers, need: Need | None, *, name: str | None = None) -> Permit:
        """The permit of a request.

        Args:
            credentials: names in lower case and values, those of :data:`CREDENTIALS` only.
            need: what the route declares; None where it declares nothing, which lets nobody do anything.
            name: the model or knowledge base that the path names, if it names one.

        Raises:
            UnauthenticatedError: the route is not open, and no good credential came.
            ForbiddenError: the caller has not what the route needs.
        """
        if need is not None and need.verb is None:
            return Permit(self._known_or_nobody(credentials), Verb.LOOK)
        caller = self._identities.identify(credential(credentials))
        give(Permit(caller, None))  # known, so that a refusal names it, and without any right yet
        if caller.meter is not None:
            caller.meter.admit()
        if need is None or need.verb is None:
            return Permit(caller, None)
        permit = Permit(caller, need.verb)
        permit.require_verb(need.verb, everywhere=need.everywhere)
        if name is not None:
            permit.require(name)
        return permit

    def allowed(self, permit: Permit, *, what: str, peer: str) -> None:
        """Write down that a request that changes something was let in, before it is carried out.

        Raises:
            ResourceError, AuditError: it cannot be written down, and so must not be carried out.
        """
        if self._audit is not None and permit.verb in _WRITTEN_DOWN:
            self._audit.record("allowed", caller=permit.caller.id, what=what, verb=permit.verb, peer=peer)

    def refused(self, error: Exception, *, what: str, peer: str) -> None:
        """Write down that a request was refused, if it was for its caller's sake. Never raises."""
        if self._audit is not None and isinstance(error, UnauthenticatedError | ForbiddenError | QuotaError):
            who = current().caller.id
            self._audit.note("refused", caller=who, what=what, code=error.code, why=error.came[:256], peer=peer)

    def _known_or_nobody(self, credentials: Headers) -> Caller:
        try:
            return self._identities.identify(credential(credentials))
        except UnauthenticatedError:
            return NOBODY


@final
class Trusting:
    """Lets everybody do what routes declare: for sockets that only the server itself can reach."""

    def admit(self, credentials: Headers, need: Need | None, *, name: str | None = None) -> Permit:
        """See :meth:`Controlled.admit`."""
        del credentials, name
        if need is None:
            raise ForbiddenError("the route does not declare what it needs")
        return Permit(OWNER, need.verb or Verb.LOOK)

    def allowed(self, permit: Permit, *, what: str, peer: str) -> None:
        """Nothing: the server itself asks."""

    def refused(self, error: Exception, *, what: str, peer: str) -> None:
        """Nothing: the server itself asks."""


def credential(headers: Headers) -> str:
    """The one credential of a request.

    Raises:
        UnauthenticatedError: none came, several, or one that cannot be any. Never says what came.
    """
    came = [(name, value) for name, value in headers if name in CREDENTIALS]
    if not came:
        raise UnauthenticatedError("no credential came", expected=_HOW)
    if len(came) > 1:
        raise UnauthenticatedError(f"{len(came)} credentials came", expected="one", do=f"Send {_HOW}.")
    name, value = came[0]
    if len(value) > _LONGEST or not value.isascii() or not value.isprintable():
        raise UnauthenticatedError("the credential cannot be any", expected=f"at most {_LONGEST} ASCII characters")
    if name != _AUTHORIZATION:
        return value.strip()
    scheme, _, text = value.strip().partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise UnauthenticatedError("Authorization is not of the scheme Bearer", expected=_HOW)
    return text.strip()
