"""What a route needs of its caller: declared beside the route, once."""

from __future__ import annotations

from dataclasses import dataclass

from penjing.security.scopes import Verb


@dataclass(frozen=True, slots=True)
class Need:
    """See the module.

    Attributes:
        verb: what the route does; None is open to all, as life signs are.
        everywhere: it concerns the whole server, so the verb must be given for ``*``.
    """

    verb: Verb | None
    everywhere: bool = False

    def __str__(self) -> str:
        return "none" if self.verb is None else f"{self.verb}{' of *' if self.everywhere else ''}"


OPEN = Need(None)
LOOK = Need(Verb.LOOK)
PREDICT = Need(Verb.PREDICT)
OPERATE = Need(Verb.OPERATE)
OPERATE_ALL = Need(Verb.OPERATE, everywhere=True)
OBSERVE_ALL = Need(Verb.OBSERVE, everywhere=True)
