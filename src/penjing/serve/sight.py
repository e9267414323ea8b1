"""The models as a request sees them: all of them, or those that its permit is good for."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Protocol, final

from penjing.core.errors import ModelNotFoundError
from penjing.security.permits import Charge, current
from penjing.security.scopes import Verb
from penjing.serve.catalogue import Catalogue
from penjing.serve.models import Models
from penjing.serve.shelf import Shelf
from penjing.serve.versions import Version, left_after
from penjing.serve.wishes import Wishes


class KnownModels(Protocol):
    """What dialects know of :class:`penjing.serve.models.Models`, whose words these are."""

    @property
    def catalogue(self) -> Catalogue:
        """See there."""

    @property
    def wishes(self) -> Wishes:
        """See there."""

    def start(self) -> None:
        """See there."""

    def close(self) -> None:
        """See there."""

    def names(self) -> list[str]:
        """See there."""

    def all(self) -> list[Version]:
        """See there."""

    def knows(self, model: str) -> bool:
        """See there."""

    def shelf(self, model: str) -> Shelf | None:
        """See there."""

    def hold(self, model: str, ref: int | str | None = None) -> AbstractContextManager[Version]:
        """See there."""

    def enter(self, model: str, ref: int | str | None = None) -> Version:
        """See there."""

    def serve(self, wishes: Wishes) -> threading.Event:
        """See there."""

    def look_again(self, *models: str) -> threading.Event:
        """See there."""

    def why_not_ready(self) -> dict[str, str]:
        """See there."""

    def why_not(self, model: str) -> str:
        """See there."""

    def has_given_up(self) -> bool:
        """See there."""


def must_predict(model: str) -> Charge:
    """Refuse a prediction by a model that the permit of the request under way is not good for.

    Returns:
        Puts its tokens on the caller's account.

    Raises:
        ForbiddenError: it is not.
    """
    permit = current()
    permit.require_verb(Verb.PREDICT)
    permit.require(model)
    return permit.charge


@final
class PermittedModels:
    """See the module. What the permit is not good for is as if it were not there, or refused where it is named.

    Args:
        models: all.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self.start, self.close, self.has_given_up = models.start, models.close, models.has_given_up
        self.knows = models.knows

    @property
    def catalogue(self) -> Catalogue:
        """For those who may operate the whole server."""
        current().require_verb(Verb.OPERATE, everywhere=True)
        return self._models.catalogue

    @property
    def wishes(self) -> Wishes:
        """For those who may operate the whole server."""
        current().require_verb(Verb.OPERATE, everywhere=True)
        return self._models.wishes

    def names(self) -> list[str]:
        """Those that the permit is good for."""
        permit = current()
        return [name for name in self._models.names() if permit.may(name)]

    def all(self) -> list[Version]:
        """Versions of those that the permit is good for."""
        permit = current()
        return [version for version in self._models.all() if permit.may(version.model)]

    def shelf(self, model: str) -> Shelf | None:
        """See :class:`penjing.serve.models.Models`. Raises ForbiddenError where the permit is not good for it."""
        current().require(model)
        return self._models.shelf(model)

    def hold(self, model: str, ref: int | str | None = None) -> AbstractContextManager[Version]:
        """See :meth:`enter`."""
        return left_after(self.enter(model, ref))

    def enter(self, model: str, ref: int | str | None = None) -> Version:
        """See :class:`penjing.serve.models.Models`. Raises ForbiddenError where the permit is not good for it."""
        current().require(model)
        if not self._models.knows(model) and model not in self._models.names():  # the first is at hand
            raise ModelNotFoundError(  # its own words would name models that the caller does not see
                f"model {model!r} is unknown", expected=f"one of: {', '.join(self.names()) or '-'}"
            )
        return self._models.enter(model, ref)

    def serve(self, wishes: Wishes) -> threading.Event:
        """For those who may operate the whole server: what is not wished ends."""
        current().require_verb(Verb.OPERATE, everywhere=True)
        return self._models.serve(wishes)

    def look_again(self, *models: str) -> threading.Event:
        """For those who may operate the models."""
        permit = current()
        permit.require_verb(Verb.OPERATE)
        for model in models:
            permit.require(model)
        return self._models.look_again(*models)

    def why_not_ready(self) -> dict[str, str]:
        """Whether it is ready is for everybody; which models are not, and why, for those who see them."""
        permit, reasons = current(), self._models.why_not_ready()
        seen = {name: why for name, why in reasons.items() if not name or permit.may(name)}
        hidden = len(reasons) - len(seen)
        return seen | ({"": f"{hidden} models are not ready"} if hidden else {})

    def why_not(self, model: str) -> str:
        """See :class:`penjing.serve.models.Models`. Raises ForbiddenError where the permit is not good for it."""
        current().require(model)
        return self._models.why_not(model)
