"""``penjing models``: what is in the store, and its aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.app.cli.options import DEFAULT_STORE, JSON, MODEL, RECIPE, SETS, STORE, print_json, version_facts

if TYPE_CHECKING:
    from rich.table import Table

    from penjing.app.models import Listed

_HELP = """What is in the store.

```console
penjing models                            # list
penjing models --set model=newsgroups     # only one model's versions
penjing models show newsgroups/2          # one version and its evidence
penjing models alias newsgroups/2 stable  # let the alias lead to a version
penjing models verify newsgroups/2        # compare files with their digests
penjing models remove newsgroups/1        # delete a version
penjing models ledger                     # what happened, oldest first
```
"""

models = typer.Typer(help=_HELP, invoke_without_command=True, rich_markup_mode="markdown")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(models, name="models")


@models.callback()
def _list(
    context: typer.Context,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    from penjing.app.models import list_versions
    from penjing.app.recipes import ListRecipe
    from penjing.app.terminal import show
    from penjing.core.recipe import resolve_recipe

    listed = list_versions(store, resolve_recipe(ListRecipe, recipe, sets or ()))
    if as_json:
        print_json([version_facts(one.bundle) | {"aliases": list(one.aliases)} for one in listed])
        return
    show(_table(listed) if listed else f"{store} holds no models yet. Make one: penjing finetune --help")


def _table(listed: list[Listed]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from penjing.app.terminal import headline, plain

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("version", "engine", "quality", "MB", "p50 ms", "requests/s", "aliases", "made"):
        is_number = column in ("quality", "MB", "p50 ms", "requests/s")
        table.add_column(column, justify="right" if is_number else "left", no_wrap=column != "aliases")
    for one in listed:
        manifest = one.bundle.manifest
        engine = f"{manifest.engine.name} {manifest.engine.precision}" if manifest.engine else "—"
        table.add_row(
            one.bundle.reference, engine, headline(manifest.metrics),
            f"{manifest.engine_bytes / 1e6:.0f}", plain(manifest.speed.get("p50_ms")),
            plain(manifest.speed.get("requests_per_s"), 0), ", ".join(one.aliases), f"{manifest.created:%Y-%m-%d}",
        )  # fmt: skip
    return table


@models.command("show")
def _show(model: MODEL, store: STORE = DEFAULT_STORE, as_json: JSON = False) -> None:
    """One version: its whole manifest, as JSON; on one line with --json."""
    from penjing.store import Store, parse_reference

    bundle = Store(store).bundle(*parse_reference(model))
    typer.echo(bundle.manifest.model_dump_json(indent=None if as_json else 2))


@models.command("alias")
def _alias(
    model: MODEL,
    alias: Annotated[str, typer.Argument(help="Such as stable or canary.")],
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """Let an alias lead to a version; a running server follows within a second."""
    from penjing.store import Store, parse_reference

    home = Store(store)
    bundle = home.bundle(*parse_reference(model))
    home.aliases.set(bundle.manifest.model, alias, version=bundle.manifest.version)
    said = {"model": bundle.manifest.model, "alias": alias, "version": bundle.manifest.version}
    _say(f"{bundle.manifest.model}@{alias} is now {bundle.reference}", said, as_json=as_json)


@models.command("verify")
def _verify(model: MODEL, store: STORE = DEFAULT_STORE, as_json: JSON = False) -> None:
    """Compare every file of a version with its digest, and check the ledger's chain."""
    from penjing.store import Store, parse_reference

    home = Store(store)
    bundle = home.bundle(*parse_reference(model))
    bundle.verify()
    files, entries = len(bundle.manifest.files), home.ledger.verify()
    said = {"version": bundle.reference, "files": files, "ledger_entries": entries}
    _say(f"{bundle.reference}: {files} files as published; {entries} ledger entries", said, as_json=as_json)


@models.command("remove")
def _remove(model: MODEL, store: STORE = DEFAULT_STORE, as_json: JSON = False) -> None:
    """Delete a version. Refused while an alias leads to it."""
    from penjing.core.errors import UsageError
    from penjing.store import Store, parse_reference

    name, ref = parse_reference(model)
    if not isinstance(ref, int):
        raise UsageError(f"{model} names no version number", expected="NAME/NUMBER, so that nothing goes by accident")
    Store(store).remove(name, ref)
    _say(f"Removed {model}", {"removed": model}, as_json=as_json)


@models.command("ledger")
def _ledger(
    limit: Annotated[int, typer.Option(help="The newest so many.")] = 50,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """What happened in this store, oldest first."""
    from penjing.store import Store

    for entry in Store(store).ledger.entries(limit=limit):
        if as_json:
            print_json({"sequence": entry.sequence, "time": str(entry.time), "kind": entry.kind,
                        "subject": entry.subject, "facts": entry.facts, "hash": entry.hash})  # fmt: skip
        else:
            typer.echo(f"{entry.sequence:>5}  {entry.time}  {entry.kind:<20} {entry.subject}")


def _say(line: str, facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        typer.echo(line)
