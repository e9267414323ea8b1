"""Recipes: YAML files checked against a pydantic model, with ``--set a.b=c`` on top.

Promise: every fault of a recipe is reported at once, each with the nearest valid key or the
choices there are. Values only: no imports, no code (see :mod:`penjing.core.plain_yaml`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from penjing.core.errors import RecipeError
from penjing.core.files import digest
from penjing.core.plain_yaml import read_yaml

MAX_RECIPE_BYTES = 1 << 20
_INDICATORS = tuple("|>,-&*!%@?:`")  # of YAML; alone they are no value there

R = TypeVar("R", bound=BaseModel)


def resolve_recipe(
    schema: type[R],
    file: Path | None = None,
    overrides: Iterable[str] = (),
    *,
    flags: Mapping[str, Any] | None = None,
    base: Mapping[str, Any] | None = None,
) -> R:
    """Build a recipe: schema defaults, then ``base``, ``file``, ``flags`` and ``overrides``, each over the former.

    Args:
        schema: the pydantic model that says what is allowed.
        file: a YAML mapping, or None.
        overrides: ``"a.b=value"`` strings; values are read as YAML scalars or flow collections.
        flags: dotted key → value, from command-line options; None values are skipped.
        base: what a command starts from instead of bare defaults.

    Raises:
        RecipeError: with all faults in one message.
    """
    values = deepcopy(dict(base or {}))
    _lay_over(values, _read(file) if file else {})
    for key, value in (flags or {}).items():
        if value is not None:
            _put(values, key, value)
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise RecipeError(f"--set {text!r}", expected="KEY=VALUE, such as training.epochs=3")
        _put(values, key.strip(), _value_of(text, value))
    return check_recipe(schema, values, origin=str(file or "the recipe"))


def check_recipe(schema: type[R], values: Mapping[str, Any], *, origin: str) -> R:
    """Validate ``values`` or raise one RecipeError that lists every fault."""
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        faults = [_explain(schema, detail) for detail in error.errors(include_url=False)]
        raise RecipeError(
            f"{origin} has {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n  " + "\n  ".join(faults),
            do="Correct the keys above and run again.",
        ) from error


def recipe_digest(recipe: BaseModel) -> str:
    """Hex SHA-256 of the fully resolved recipe: same digest, same instructions."""
    return digest(recipe.model_dump(mode="json"))


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_RECIPE_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise RecipeError(f"recipe {file} cannot be read: {error.strerror}", expected="a YAML file") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"recipe {file} is not UTF-8 at byte {error.start}", expected="UTF-8 text") from error
    if len(content) > MAX_RECIPE_BYTES:
        raise RecipeError(f"recipe {file} is too long", expected=f"at most {MAX_RECIPE_BYTES} bytes")
    values = read_yaml(text, origin=str(file))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise RecipeError(f"recipe {file} holds a {type(values).__name__}", expected="a mapping of keys to values")
    return values


def _value_of(override: str, text: str) -> Any:
    if text.strip() in _INDICATORS:
        return text.strip()  # such as delimiter=|, which YAML takes for an empty block of lines
    value = read_yaml(text, origin=f"--set {override}")
    if value is None and text.strip().startswith("#"):
        raise RecipeError(
            f"--set {override}: to YAML that is a comment", expected="a value; quote one that begins with #"
        )
    return value


def _lay_over(values: dict[str, Any], upper: Mapping[str, Any]) -> None:
    for key, value in upper.items():
        inner = values.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            _lay_over(inner, value)
        else:
            values[key] = value


def _put(values: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    place = values
    for step in path:
        inner = place[step] = {} if place.get(step) is None else place[step]
        if not isinstance(inner, dict):
            raise RecipeError(f"cannot set {dotted}: {step} is {inner!r}", expected="a section")
        place = inner
    place[last] = value


def _explain(schema: type[BaseModel], detail: ErrorDetails) -> str:
    where = ".".join(str(step) for step in detail["loc"]) or "(top)"
    came = detail.get("input")
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key{_hint(str(detail['loc'][-1]), _known_keys(schema, detail['loc'][:-1]))}"
    if detail["type"] == "model_type":
        known = _known_keys(schema, detail["loc"])
        return f"{where}: expected a section{' of ' + ', '.join(known) if known else ''} (came: {came!r:.80})"
    shown = "" if detail["type"] == "missing" or isinstance(came, dict) else f" (came: {came!r:.80})"
    return f"{where}: {detail['msg'][0].lower()}{detail['msg'][1:]}{shown}"


def _hint(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known here: {', '.join(known)}" if known else ""


def _known_keys(schema: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Keys of the section at ``path``; steps that are places in a list or keys of a dict lead to what they hold."""
    for step in path:
        field = schema.model_fields.get(str(step))
        inner = _model_in(field.annotation) if field else None
        if inner is not None:
            schema = inner
        elif field is not None:
            return []
    return list(schema.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model in an annotation: itself, or inside of a union, list or dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
