"""``penjing keys``: who may ask a server, and for what."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.app.cli.options import JSON, print_json

if TYPE_CHECKING:
    from penjing.security.keys import Key, Shown

_HELP = """API keys of a server, in a file that holds their digests.

```console
penjing keys create shop --scope topics:predict --expires 90d  # prints the key, once
penjing keys list
penjing keys rotate shop --overlap 24h                         # a new one; the old one for a day more
penjing keys revoke shop                                       # within a second, without a restart
penjing serve --host 0.0.0.0 --keys penjing-keys.json
```

A scope is MODELS:ROLE. In MODELS a * stands for any characters; a knowledge base is named knowledge/NAME. Roles:
predict asks, feedback sends feedback, operate loads and reloads, observe reads metrics, admin does all.
"""
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

KEYS = Annotated[Path, typer.Option("--keys", envvar="PENJING_KEYS", help="The file of keys.")]
AUDIT = Annotated[
    Path | None, typer.Option("--audit-log", envvar="PENJING_AUDIT_LOG", help="Write it down in this audit log, too.")
]
_WHICH = Annotated[str, typer.Argument(help="Its id, or its name where one active key has it.", show_default=False)]
DEFAULT_KEYS = Path("penjing-keys.json")

keys = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="markdown")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(keys, name="keys")


@keys.callback()
def _keys() -> None:
    pass


@keys.command("create")
def _create(
    name: Annotated[str, typer.Argument(help="Who or what it is for.", show_default=False)],
    scopes: Annotated[
        list[str], typer.Option("--scope", metavar="MODELS:ROLE", help="What it may do. May be repeated.")
    ],
    expires: Annotated[str | None, typer.Option(help="90d, 12h, 30m, or a date such as 2027-01-31. Never.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="So many at most. Any number.")] = None,
    tokens_per_day: Annotated[int | None, typer.Option(min=1, help="Read and written ones. Any number.")] = None,
    file: KEYS = DEFAULT_KEYS,
    audit_log: AUDIT = None,
    as_json: JSON = False,
) -> None:
    """Make a key and print it, this once; the file keeps its digest."""
    from penjing.core.errors import UsageError
    from penjing.security.key_file import add_key
    from penjing.security.keys import Limits, new_key
    from penjing.security.scopes import Scope

    if not 0 < len(name.strip()) <= 128 or not name.isprintable():
        raise UsageError(f"name {name[:40]!r}", expected="1 to 128 characters that can be seen")
    limits = Limits(requests_per_minute=requests_per_minute, tokens_per_day=tokens_per_day)
    made = new_key(name.strip(), map(Scope.parse, scopes), expires=_end(expires), limits=limits)
    add_key(file, made)
    _write_down(audit_log, "key-created", made.key)
    _show(made, file, as_json=as_json)


@keys.command("list")
def _list(file: KEYS = DEFAULT_KEYS, as_json: JSON = False) -> None:
    """All keys, without their secrets, which nobody has."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from penjing.app.terminal import show
    from penjing.security.key_file import read_keys

    found = read_keys(file).keys
    if as_json:
        print_json([_facts(key) for key in found])
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("id", "name", "scopes", "state", "made", "expires"):
        table.add_column(column, overflow="fold")
    for key in found:
        facts = _facts(key)
        expires = facts["expires"] or "never"
        table.add_row(
            key.id, key.name, " ".join(facts["scopes"]), facts["state"], facts["created"][:10], expires[:16]
        )  # fmt: skip
    show(table if found else f"{file} holds no keys.")


@keys.command("revoke")
def _revoke(which: _WHICH, file: KEYS = DEFAULT_KEYS, audit_log: AUDIT = None, as_json: JSON = False) -> None:
    """Withdraw a key; a running server refuses it within a second."""
    from penjing.security.key_file import revoke_key

    key = revoke_key(file, which)
    _write_down(audit_log, "key-revoked", key)
    if as_json:
        print_json(_facts(key))
    else:
        typer.echo(f"Revoked {key.id} ({key.name})")


@keys.command("rotate")
def _rotate(
    which: _WHICH,
    overlap: Annotated[str, typer.Option(help="How long the old one is taken as well: 24h, 30m, 0.")] = "0",
    file: KEYS = DEFAULT_KEYS,
    audit_log: AUDIT = None,
    as_json: JSON = False,
) -> None:
    """Put a new key in the place of one: same name, scopes, limits and lifetime."""
    from penjing.security.key_file import rotate_key

    made, old = rotate_key(file, which, overlap=_span(overlap))
    _write_down(audit_log, "key-rotated", made.key, before=old.id)
    _show(made, file, as_json=as_json)


def _write_down(log: Path | None, event: str, key: Key, **facts: Any) -> None:
    if log is not None:
        from getpass import getuser

        from penjing.security.audit import AuditLog

        facts |= {"name": key.name, "scopes": [str(scope) for scope in key.scopes]}
        AuditLog(log).record(event, caller=f"user:{getuser()}", what=f"key:{key.id}", **facts)


def _show(made: Shown, file: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(_facts(made.key) | {"key": made.text})
        return
    typer.echo(made.text)
    typer.echo(f"Keep it now: {file} holds its digest only. It is {made.key.id} in lists and logs.", err=True)


def _facts(key: Key) -> dict[str, Any]:
    told = key.model_dump(mode="json", include={"id", "name", "created", "expires", "revoked", "limits"})
    return told | {"scopes": [str(scope) for scope in key.scopes], "state": key.state(datetime.now(UTC))}


def _span(said: str) -> timedelta:
    from penjing.core.errors import UsageError

    found = re.fullmatch(r"(\d{1,6})([mhd])", said)
    if said != "0" and found is None:
        raise UsageError(f"{said[:40]!r} is no length of time", expected="such as 30m, 24h, 90d or 0")
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta()


def _end(said: str | None) -> datetime | None:
    from penjing.core.errors import UsageError

    if said is None:
        return None
    now = datetime.now(UTC)
    try:
        end = datetime.fromisoformat(said)
        end = end if end.tzinfo else end.replace(tzinfo=UTC)
    except ValueError:
        end = now + _span(said)
    if end <= now:
        raise UsageError(f"{said} is past", expected="a time to come")
    return end
