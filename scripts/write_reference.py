#!/usr/bin/env python3
"""Write the generated pages of docs/reference from the code they describe. Run by ``make docs``.

Promise: equal code gives equal bytes; ``tests/docs`` fails where a page is stale.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

import typer
from pydantic import BaseModel

from penjing.app import cli, recipes, smaller_recipes
from penjing.app.cascade_recipe import CascadeCommand
from penjing.app.pretrain_recipe import PretrainRecipe
from penjing.app.quickstart import RECIPE as QUICKSTART
from penjing.app.search_recipe import SearchRecipe
from penjing.core import errors
from penjing.data import DataRecipe, cache_dir
from penjing.fleet import METRICS as GATEWAY_METRICS
from penjing.fleet import GatewayRecipe
from penjing.fleet.metrics import Metrics as GatewayMetrics
from penjing.fleet.simulation import SimulateRecipe
from penjing.knowledge import KnowledgeRecipe
from penjing.serve import METRICS, ServeRecipe
from penjing.serve.api.statuses import STATUSES
from penjing.serve.metrics import Metric, Metrics

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
BANNER = "<!-- Written by scripts/write_reference.py (make docs). Change the code, not this page. -->\n"

RECIPES: dict[str, type[BaseModel]] = {  # command that takes --recipe → what the recipe is checked against
    "quickstart": recipes.QuickstartRecipe, "finetune": recipes.FinetuneRecipe, "pretrain": PretrainRecipe,
    "quantize": recipes.QuantizeCommand, "distill": smaller_recipes.DistillCommand, "export": recipes.ExportCommand,
    "search": SearchRecipe, "models": recipes.ListRecipe, "evaluate": DataRecipe, "predict": DataRecipe,
    "cascade": CascadeCommand, "prune": smaller_recipes.PruneCommand, "compress": smaller_recipes.CompressCommand,
    "knowledge add": KnowledgeRecipe, "knowledge ask": KnowledgeRecipe, "serve": ServeRecipe,
    "gateway": GatewayRecipe, "simulate": SimulateRecipe,
}  # fmt: skip
_TYPES = {str: "text", int: "whole number", float: "number", Path: "path", bool: ""}
_JSON_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


class Parameter(NamedTuple):
    """One argument or option of a command."""

    names: tuple[str, ...]
    takes: str
    default: str
    meaning: str


class Command(NamedTuple):
    """One command as a reader meets it."""

    name: str
    about: str
    parameters: tuple[Parameter, ...]


class Key(NamedTuple):
    """One key of a recipe, named with dots."""

    name: str
    takes: str
    default: str
    meaning: str


def main() -> int:
    """Write the pages that changed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in ((FOLDER / name, text) for name, text in pages().items()):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote docs/reference/{path.name}\n")
    return 0


def pages() -> dict[str, str]:
    """File name → content of every generated page."""
    made = {"cli.md": cli_page, "recipes.md": recipes_page, "errors.md": errors_page, "metrics.md": metrics_page}
    return {name: "\n".join(page()) for name, page in made.items()}


def cli_page() -> Iterator[str]:
    """Commands, arguments and options."""
    yield from ("# Commands\n", BANNER, " ".join(str(cli.__doc__).split("\n\n")[1].split()) + "\n")
    yield "`penjing --install-completion` teaches the shell to complete commands and options.\n"
    for command in commands():
        yield f"{'###' if ' ' in command.name else '##'} penjing {command.name}\n\n{command.about}\n"
        if command.parameters:
            rows = [(", ".join(f"`{name}`" for name in one.names), *one[1:]) for one in command.parameters]
            yield _table(("argument or option", "takes", "default", "meaning"), rows)
        if command.name in RECIPES:
            yield f"Keys of its recipe: [recipes.md](recipes.md#{command.name}).\n"
    yield "## Environment\n"
    fetched = ("`PENJING_CACHE`", f"where fetched weights and data sets are kept: {_plain(cache_dir.__doc__)}")
    given = [("`PENJING_STORE`", "the store, where `--store` is not given")]
    given += [("`PENJING_KEYS`", "the file of keys, where `--keys` is not given")]
    given += [("`PENJING_AUDIT_LOG`", "where `penjing keys` writes down what it does, without `--audit-log`")]
    yield _table(("variable", "meaning"), [*given, fetched])


def commands() -> list[Command]:
    """Every command, groups before their members."""
    found = [_command(one.callback, name=one.name, about=one.help) for one in cli.app.registered_commands]
    for group in cli.app.registered_groups:
        if (inner := group.typer_instance) is None or inner.registered_callback is None:
            continue
        found.append(_command(inner.registered_callback.callback, name=group.name, about=inner.info.help))
        for one in inner.registered_commands:
            about = one.help or inspect.getdoc(one.callback or print)
            found.append(_command(one.callback, name=f"{group.name} {one.name}", about=about))
    return found


def _command(callback: Callable[..., Any] | None, *, name: str | None, about: str | None) -> Command:
    given = inspect.signature(callback or print, eval_str=True).parameters.values()
    read = tuple(_parameter(one) for one in given if one.annotation is not typer.Context)
    return Command(str(name), inspect.cleandoc(about or ""), read)


def _parameter(parameter: inspect.Parameter) -> Parameter:
    kind, info = get_args(parameter.annotation)
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    takes = f"{_TYPES[get_args(kind)[0]]}, repeated" if get_origin(kind) is list else _TYPES.get(kind) or _choices(kind)
    default = "" if parameter.default in (None, False) else f"`{parameter.default}`"
    default = "required" if parameter.default is inspect.Parameter.empty else default
    meaning = _plain(info.help) + (f" Or `{info.envvar}`." if info.envvar else "")
    if isinstance(info, typer.models.ArgumentInfo):
        return Parameter((parameter.name.upper(),), takes, default, meaning)
    given = (info.default, *(info.param_decls or ()))  # in Annotated[…] the first name stands as the default
    names = tuple(one for one in given if isinstance(one, str)) or (f"--{parameter.name.replace('_', '-')}",)
    return Parameter(names, info.metavar or takes, default, meaning)


def _choices(kind: Any) -> str:
    return ", ".join(f"`{one}`" for one in get_args(kind))


def recipes_page() -> Iterator[str]:
    """Keys of every recipe."""
    yield from ("# Recipe keys\n", BANNER, _RECIPE_PREFACE)
    for name, schema in RECIPES.items():
        yield f"## {name}\n\n{_about(schema)}\n"
        listed = keys(schema)
        if name == "quickstart":
            yield "The keys of [finetune](#finetune), from other defaults:\n"
            rows = [(f"`{key}`", f"`{value}`") for key, value in _leaves(QUICKSTART)]
            frozen = "all but the model's last two layers with native bf16, elsewhere all but its last"
            yield _table(("key", "default"), [*rows, ("`training.frozen_layers`", frozen)])
            yield "And besides:\n"
            listed = [one for one in listed if one not in keys(recipes.FinetuneRecipe)]
        elif name == "search":
            yield "The keys of [finetune](#finetune), and besides:\n"
            listed = [one for one in listed if one not in keys(recipes.FinetuneRecipe)]
        yield _table(("key", "takes", "default", "meaning"), [(f"`{one.name}`", *one[1:]) for one in listed])


_RECIPE_PREFACE = """A recipe is one YAML file. A command starts from the defaults below and lays over them, in this
order, the file of `--recipe`, the command's own options, and each `--set KEY=VALUE`. Keys are
written with dots on the command line and as nested mappings in the file:

```yaml
name: topics
data: {train: news.csv, text: body}
training: {epochs: 2}
```

Values are checked before anything runs. Unknown keys are errors, and all faults are reported at
once. `null` is off. The resolved recipe is kept in the version as `recipe.yaml`; given back with
`--recipe`, it repeats the run.
"""


def keys(schema: type[BaseModel], prefix: str = "") -> list[Key]:
    """Every key of a recipe in its own order, each section before its keys."""
    meanings, listed = attribute_docs(schema), []
    properties = schema.model_json_schema()["properties"]
    for name, field in schema.model_fields.items():
        kinds = get_args(field.annotation) or (field.annotation,)
        inner = next((one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)), None)
        if inner is not None:
            takes = "section or `null`" if NoneType in kinds else "section"
            listed.append(Key(prefix + name, takes, "", meanings.get(name) or _about(inner)))
            listed += keys(inner, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else f"`{_shown(field.get_default(call_default_factory=True))}`"
        listed.append(Key(prefix + name, _takes(properties[name]), default, meanings.get(name, "")))
    return listed


def attribute_docs(schema: type[BaseModel]) -> dict[str, str]:
    """Field → its words in the ``Attributes`` of the docstring; ``a, b: …`` speaks of both."""
    docs = [inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2] for kind in reversed(schema.__mro__)]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in "\n".join(docs).splitlines():
        if begun := re.match(r"    ([a-z_]+(?:, [a-z_]+)*): (.*)", line):
            names = begun[1].split(", ")
            found.update(dict.fromkeys(names, begun[2]))
        elif line.startswith("        "):
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return {name: re.sub(r"\bNone\b", "`null`", _plain(words)) for name, words in found.items()}


def _takes(schema: Mapping[str, Any]) -> str:
    """A JSON schema in words."""
    if "anyOf" in schema:
        return " or ".join(_takes(part) for part in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") in ("array", "object"):
        return f"list of {_takes(schema['items'])}s" if "items" in schema else "mapping"
    bounds = [f"{sign} {schema[word]:.10g}" for word, sign in _BOUNDS.items() if word in schema]
    bounds += ["one character"] if schema.get("maxLength") == 1 else []
    bounds += [f"`{schema['pattern']}`"] if "pattern" in schema else []
    return _JSON_TYPES.get(str(schema.get("type")), "`null`") + (f" ({', '.join(bounds)})" if bounds else "")


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return "[]" if value == () else str(getattr(value, "value", value))


def errors_page() -> Iterator[str]:
    """The error tree with codes and statuses."""
    yield from ("# Errors\n", BANNER, _ERRORS_PREFACE)
    tree = inspect.cleandoc(errors.__doc__ or "").split("::\n")[1].split("\n\nPromise")[0]
    yield f"```text\n{inspect.cleandoc(tree)}\n```\n"
    kinds = error_classes()
    rows = [(f"`{kind.code}`", kind.__name__, str(kind.exit_status), _about(kind)) for kind in kinds]
    yield _table(("code", "class", "exit status", "meaning"), rows)
    yield "## Statuses\n\nEach dialect has its own table. The canonical code stands in the metrics.\n"
    told = [(f"`{kind.code}`", *_statuses(kind)) for kind in kinds if issubclass(kind, errors.ServingError)]
    yield _table(("code", *STATUSES), told)


_ERRORS_PREFACE = """Every error a user can meet is one of these. Each has a `code` that stays the same, and says three
things: what came, what was expected, what to do. Commands print it on standard error; with
`--json` they also print one line `{"error": {"code", "came", "expected", "do"}}` on standard
output. In Python, catch `penjing.core.errors.PenjingError` or a branch of the tree.
"""


def error_classes(root: type[errors.PenjingError] = errors.PenjingError) -> list[type[errors.PenjingError]]:
    """The tree of errors, parents before children, in the order they are defined."""
    ours = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(one for child in ours for one in error_classes(child))]


def _statuses(kind: type[errors.PenjingError]) -> Iterator[str]:
    needed: dict[type, Any] = {
        errors.OverloadedError: {"retry_after_s": 1.0},
        errors.QuotaError: {"retry_after_s": 1.0},
        errors.FieldError: {"field": ""},
    }
    error, late = kind("", **needed.get(kind, {})), errors.DeadlineError("", waiting=True)
    for tell in STATUSES.values():
        yield f"{tell(error)}; {tell(late)} in the queue" if kind is errors.DeadlineError else str(tell(error))


def metrics_page() -> Iterator[str]:
    """Every metric, by the name Prometheus sees."""
    yield from ("# Metrics\n", BANNER, _METRICS_PREFACE)
    yield _metrics_table(METRICS, Metrics().page([]))
    yield "## Of the gateway\n\n`GET /metrics` of `penjing gateway`.\n"
    yield _metrics_table(GATEWAY_METRICS, GatewayMetrics().page([], waiting=0))


def _metrics_table(metrics: tuple[Metric, ...], page: bytes) -> str:
    names = [line.split()[2] for line in page.decode().splitlines() if line.startswith("# HELP ")]
    rows = []
    for name, metric in zip(names, metrics, strict=True):
        ends = f"{metric.buckets[0]:g} … {metric.buckets[-1]:.6g}" if metric.buckets else ""
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append((f"`{name}`", metric.kind, labels, ends, metric.meaning))
    return _table(("name", "kind", "labels", "buckets", "meaning"), rows)


_METRICS_PREFACE = """`GET /metrics` gives them in the Prometheus text format; so does `/monitoring/prometheus/metrics`,
TensorFlow Serving's path. Times are in milliseconds where the name says `_ms`. Labels come from
models that exist, so requests for invented names do not grow the page. The parts of a request's
cost are also in the headers of its reply: [http.md](http.md#reply-headers).
"""


def _about(thing: type) -> str:
    """The docstring down to its first section."""
    return _plain(re.split(r"\n\n(?:Args|Attributes|Raises|Returns):", inspect.cleandoc(thing.__doc__ or ""))[0])


def _plain(text: str | None) -> str:
    """Docstring text as one line of Markdown."""
    return re.sub(r":[a-z]+:`~?([^`]+)`", r"`\1`", " ".join((text or "").split())).replace("``", "`")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
