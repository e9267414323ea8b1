"""``penjing cascade``."""

from __future__ import annotations

from typing import Annotated

import typer

from penjing.app.cli.options import DEFAULT_STORE, JSON, RECIPE, SETS, STORE, print_json, version_facts

_HELP = """Put versions together into one that asks the cheapest first and the next only where it is not sure.

```console
penjing cascade newsgroups-small/1 newsgroups/2 newsgroups/1 --name newsgroups-fast --agreement 0.99
```

The last version is what the others are to agree with, unless --agree-with names another. How sure a stage must be is
found on held-out texts (the validation split, or --held-out), so that the cascade answers as that version on at least
that share of texts like them, with 95 % confidence. For text classification with one label a text; all stages have
one tokenizer. Exit status 1 and no new version if the agreement cannot be proved, or more would be lost than
--max-drop allows.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("cascade", help=_HELP)(_cascade)


def _cascade(
    stages: Annotated[list[str] | None, typer.Argument(help="Versions (NAME, NAME/2), the cheapest first.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the cascade in the store.")] = None,
    agreement: Annotated[float | None, typer.Option(help="Share of texts answered as the last version does.")] = None,
    agree_with: Annotated[str | None, typer.Option(help="Version to agree with; the last one by default.")] = None,
    held_out: Annotated[str | None, typer.Option(help="Labelled texts that no stage was trained on.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="Accuracy that may be lost, as a share: 0.01.")] = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.cascade import cascade
    from penjing.app.cascade_recipe import CascadeCommand
    from penjing.app.terminal import TerminalProgress, change_line, percent, show, speed_table
    from penjing.core.recipe import resolve_recipe

    flags = {
        "stages": stages or None, "name": name, "agreement": agreement, "agree_with": agree_with,
        "held_out": held_out, "max_drop": max_drop,
    }  # fmt: skip
    command = resolve_recipe(CascadeCommand, recipe, sets or (), flags=flags)
    done = cascade(command, store=store, progress=TerminalProgress())
    if as_json:
        print_json(version_facts(done.bundle))
        return
    if done.systems:
        show(speed_table(done.systems, title="Through the server, in turns", metric=done.judgement.metric))
    for spec, answered in zip(done.bundle.manifest.stages, done.shares, strict=True):
        sure = "the rest" if spec.threshold is None else f"from {spec.threshold:.4f} on"
        show(f"{spec.source} answers {sure}: {percent(answered)} of the test texts.")
    show(
        change_line(done.change, "the cascade"),
        f"Registered {done.bundle.reference}. Report: {done.bundle.path / 'report.html'}",
    )
