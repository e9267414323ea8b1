"""``penjing audit``: what was written down of refusals and changes, and whether it still stands as written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penjing.app.cli.options import JSON, print_json

_HELP = """The audit log of a server, a file of JSON lines that are chained by hashes.

```console
penjing serve --keys penjing-keys.json --set audit_log=audit.jsonl
penjing audit verify audit.jsonl                     # any line changed, removed, put in or moved?
penjing audit verify audit.jsonl --head 1042:9f86…   # and none cut off at the end since then?
```

Keep the head that verify prints somewhere else: who can write to the file can write all of it anew, and only a kept
head shows that.
"""

audit = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="markdown")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(audit, name="audit")


@audit.callback()
def _audit() -> None:
    pass


@audit.command("verify")
def _verify(
    file: Annotated[Path, typer.Argument(help="The log.", show_default=False)],
    head: Annotated[str | None, typer.Option(metavar="NUMBER:HASH", help="A kept one, to be found in the log.")] = None,
    as_json: JSON = False,
) -> None:
    """Check the whole chain, and print where it ends."""
    from penjing.security.audit import Head, verify

    end = verify(file, head=Head.parse(head) if head else None)
    if as_json:
        print_json({"file": str(file), "entries": end.n, "head": str(end)})
    else:
        typer.echo(f"{file}: {end.n} entries as written; keep this head elsewhere: {end}")
