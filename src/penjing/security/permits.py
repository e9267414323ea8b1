"""Who asks, and what the request under way may do.

A request gets its permit where it comes in; where it takes effect (a version is entered, a model is asked, a list is
told) the permit is asked again. So a path that was taken for another can lead to a refusal only. Promise: without a
permit nothing is allowed. It travels in a context variable, which each request has for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Protocol

from penjing.core.errors import ForbiddenError
from penjing.security.scopes import Grants, Role, Scope, Verb

Charge = Callable[[int], None]


def free(tokens: int) -> None:
    """Charge nobody."""
    del tokens


class Meter(Protocol):
    """Counts what a caller asks for."""

    def admit(self) -> None:
        """Count a request; raises QuotaError where there were too many."""

    def charge(self, tokens: int) -> None:
        """Count tokens that were read or written."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who is known.

    Attributes:
        id: for logs, such as ``key:abcdefghijkl``. Never a secret.
        grants: what may be done.
        meter: counts; None where nothing is limited.
    """

    id: str
    grants: Grants
    meter: Meter | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """What one request may do.

    Attributes:
        caller: whose it is.
        verb: what its route does; None may do nothing.
    """

    caller: Caller
    verb: Verb | None

    @property
    def charge(self) -> Charge:
        """Puts tokens on the caller's account."""
        return self.caller.meter.charge if self.caller.meter is not None else free

    def may(self, name: str) -> bool:
        """Whether it is good for a model, or for ``knowledge/NAME``."""
        return self.verb is not None and self.caller.grants.may(self.verb, name)

    def require(self, name: str) -> None:
        """Refuse what it is not good for.

        Raises:
            ForbiddenError: the same for names that are there and for those that are not.
        """
        if not self.may(name):
            raise ForbiddenError(f"{self.caller.id} has no right to {self.verb or 'do this'} on {name[:128]!r}")

    def require_verb(self, verb: Verb, *, everywhere: bool = False) -> None:
        """Refuse a request whose route does something else, or whose caller may do it to some models only.

        Raises:
            ForbiddenError: see above.
        """
        grants = self.caller.grants
        has = grants.may_everywhere(verb) if everywhere else grants.may_somewhere(verb)
        if self.verb is not verb or not has:
            where = " on the whole server" if everywhere else ""
            raise ForbiddenError(f"{self.caller.id} has no right to {verb}{where} with this request")


NOBODY = Caller("nobody", Grants())
NOTHING = Permit(NOBODY, None)
OWNER = Caller("owner", Grants([Scope(models="*", role=Role.ADMIN)]))  # of the process itself
_CURRENT: ContextVar[Permit | None] = ContextVar("permit", default=None)


def current() -> Permit:
    """The permit of the request under way; without one, a permit for nothing."""
    return _CURRENT.get() or NOTHING


def give(permit: Permit) -> None:
    """Let the request under way go on with this permit."""
    _CURRENT.set(permit)


@contextmanager
def acting(verb: Verb) -> Iterator[None]:
    """Do something with every right, in the caller's name and at its expense.

    For what a server does by itself to carry out a request that was allowed.
    """
    token = _CURRENT.set(Permit(replace(current().caller, grants=OWNER.grants), verb))
    try:
        yield
    finally:
        _CURRENT.reset(token)
