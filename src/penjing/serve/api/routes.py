"""What a dialect says of itself: its routes, in the terms of OpenAPI. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from penjing.security.needs import Need

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
TRUTH: Schema = {"type": "boolean"}
ANY: Schema = {}


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        method: in upper case.
        path: without a strict prefix; ``{model}``, ``{version}``, ``{label}``, ``{base}`` and
            ``{document}`` stand for themselves.
        summary: one line.
        answer: schema of the JSON behind status 200; None where there is no body.
        body: schema of the request's JSON; None where none is read.
        example: a body that a text classifier answers with ``status``.
        status: what the example gets; one of ``errors`` where only models of another kind answer it.
        errors: further statuses, besides those of every route.
        query: names of its query parameters → meaning.
        content_type: of the answer.
        where: ``bare`` and ``prefix`` leave out the other of the two places.
        needs: of its caller, where access is controlled; None is declared by mistake only, and refused to all.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    summary: str
    answer: Schema | None = None
    body: Schema | None = None
    example: Any = None
    status: int = 200
    errors: tuple[int, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    where: Literal["both", "bare", "prefix"] = "both"
    needs: Need | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """A dialect as the OpenAPI document tells it.

    Attributes:
        name: its tag.
        about: one sentence.
        routes: all of them.
        error: schema of its error bodies.
        schemas: named schemas that the routes refer to.
    """

    name: str
    about: str
    routes: tuple[Route, ...]
    error: Schema
    schemas: Mapping[str, Schema] = field(default_factory=dict)


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Schema of an object; further keys are allowed."""
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": sorted(required)}


def array(items: Schema, *, at_least: int = 0) -> Schema:
    """Schema of a list."""
    return {"type": "array", "items": items, **({"minItems": at_least} if at_least else {})}


def either(*schemas: Schema) -> Schema:
    """Schema of a value that fits one or more of several."""
    return {"anyOf": list(schemas)}


def ref(name: str) -> Schema:
    """A named schema."""
    return {"$ref": f"#/components/schemas/{name}"}
