"""What the tests of access control share: a server with keys of every role, and every route that it has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract.cases import served
from penjing.core.errors import NotFoundError
from penjing.knowledge.http import KnowledgeBases, Served
from penjing.security.key_file import add_key
from penjing.security.keys import new_key
from penjing.security.needs import Need
from penjing.security.scopes import Scope
from penjing.serve import Server
from penjing.serve.api.mounts import all_mounts
from penjing.serve.api.openapi import places
from penjing.serve.api.routes import Description, Route
from penjing.serve.api.site import Mount
from penjing.serve.recipe import ServeRecipe

VALUES = {"model": "m", "version": "1", "label": "stable", "base": "shop", "document": "d"}


class NoBase:
    """A knowledge base that is gone: whoever is let in is told so."""

    place = "nowhere"

    def __getattr__(self, name: str) -> Any:
        raise NotFoundError("the base is gone")


def with_knowledge(plane: Any) -> list[Mount]:
    return [Mount(KnowledgeBases(plane, {"shop": Served(NoBase(), is_writable=True)}))]


@dataclass(frozen=True)
class Place:
    """A route at one of the places where it answers."""

    route: Route
    path: str
    said: Description

    def __str__(self) -> str:
        return f"{self.route.method} {self.path}"

    @property
    def need(self) -> Need:
        assert self.route.needs is not None, f"{self} declares nothing"
        return self.route.needs

    @property
    def target(self) -> str:
        target = re.sub(r"{(\w+)}", lambda found: VALUES[found[1]], self.path)
        return f"{target}?model=m" if "model" in self.route.query else target

    @property
    def is_list(self) -> bool:
        """Whether it tells of models without one being named: each caller is told of its own."""
        return "{" not in self.path and self.route.method == "GET" and "model" not in self.route.query

    @property
    def body(self) -> bytes:
        return b"" if self.route.body is None else json.dumps(self.route.example).encode()


def routes() -> list[Place]:
    """Every route of every dialect, at every place."""
    mounts = all_mounts(None, ServeRecipe(), also=with_knowledge)  # the plane is not asked
    told = [(route, mount, mount.dialect.description) for mount in mounts for route in mount.dialect.description.routes]
    return [Place(route, path, said) for route, mount, said in told for path in places(route, mount)]


@dataclass
class Keys:
    """A file of keys, and those in it by their scopes."""

    file: Path
    texts: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, scopes: str) -> str:
        """A key for these scopes, made when it is first asked for."""
        if scopes not in self.texts:
            made = new_key(scopes, map(Scope.parse, scopes.split()))
            add_key(self.file, made)
            self.texts[scopes] = made.text
        return self.texts[scopes]


ROLES = ("predict", "feedback", "operate", "observe", "admin")


@contextmanager
def guarded(folder: Path, **told: Any) -> Iterator[tuple[Server, Keys]]:
    """The server of the dialects' tables, with a key a role for ``m``, for ``*``, and for another model."""
    keys = Keys(folder / "keys.json")
    for role in ROLES:
        for models in ("m", "*", "other"):
            assert keys[f"{models}:{role}"]
    with served(folder / "store", keys=keys.file, also=with_knowledge, **told) as server:
        yield server, keys
