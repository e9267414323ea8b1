"""What may be done with which models: verbs, the roles that bundle them, and scopes that give a role for some names.

A knowledge base is named ``knowledge/NAME`` here, which no model can be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Self, final

from pydantic import Field

from penjing.core.errors import UsageError
from penjing.core.nouns import Frozen

_PATTERN = r"^[A-Za-z0-9*][A-Za-z0-9._*/-]{0,255}$"
EVERYTHING = "*"


class Verb(StrEnum):
    """What a route does, and so what it needs."""

    LOOK = "look"
    PREDICT = "predict"
    FEEDBACK = "feedback"
    OPERATE = "operate"
    OBSERVE = "observe"
    ADMIN = "admin"


class Role(StrEnum):
    """A bundle of verbs, which is what is given to somebody."""

    PREDICT = "predict"
    FEEDBACK = "feedback"
    OPERATE = "operate"
    OBSERVE = "observe"
    ADMIN = "admin"


VERBS: dict[Role, frozenset[Verb]] = {
    Role.PREDICT: frozenset({Verb.LOOK, Verb.PREDICT}),
    Role.FEEDBACK: frozenset({Verb.FEEDBACK}),
    Role.OPERATE: frozenset({Verb.LOOK, Verb.OPERATE}),
    Role.OBSERVE: frozenset({Verb.LOOK, Verb.OBSERVE}),
    Role.ADMIN: frozenset(Verb),
}


class Scope(Frozen):
    """A role for the models whose names fit a pattern.

    Attributes:
        models: a name in which ``*`` stands for any characters; ``*`` alone is everything, the server included.
        role: what may be done with them.
    """

    models: str = Field(pattern=_PATTERN)
    role: Role

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``PATTERN:ROLE``.

        Raises:
            UsageError: it is none.
        """
        models, _, role = text.rpartition(":")
        if not re.fullmatch(_PATTERN, models) or role not in set(Role):
            raise UsageError(
                f"scope {text[:80]!r}",
                expected=f"MODELS:ROLE, such as topics:predict or '*:observe'; roles are {', '.join(Role)}",
            )
        return cls(models=models, role=Role(role))

    def __str__(self) -> str:
        return f"{self.models}:{self.role}"


@final
class Grants:
    """What somebody may do, made ready to be asked at each request.

    Args:
        scopes: which were given; any one that fits is enough.
    """

    __slots__ = ("_patterns", "_whole")

    def __init__(self, scopes: Iterable[Scope] = ()) -> None:
        found: dict[Verb, set[str]] = {}
        for scope in scopes:
            for verb in VERBS[scope.role]:
                found.setdefault(verb, set()).add(scope.models)
        self._patterns = {verb: _compiled(patterns) for verb, patterns in found.items()}
        self._whole = {verb for verb, patterns in found.items() if EVERYTHING in patterns}

    def may(self, verb: Verb, name: str) -> bool:
        """Whether the verb is given for this name."""
        pattern = self._patterns.get(verb)
        return pattern is not None and (verb in self._whole or pattern.fullmatch(name) is not None)

    def may_somewhere(self, verb: Verb) -> bool:
        """Whether the verb is given for any name."""
        return verb in self._patterns

    def may_everywhere(self, verb: Verb) -> bool:
        """Whether the verb is given for everything: ``*``."""
        return verb in self._whole


def _compiled(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(re.sub(r"\*+", "*", one)).replace(r"\*", ".*") for one in patterns), re.DOTALL)
