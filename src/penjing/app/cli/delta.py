"""``penjing delta``: what fine-tuning added, as a thing of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.app.cli.options import DEFAULT_STORE, JSON, STORE, print_json

if TYPE_CHECKING:
    from penjing.app.delta_files import CheckpointMade, DeltaMade

_HELP = """What fine-tuning added to its base, as files of their own: taken, put on, scaled, summed.

```console
penjing delta extract topics/1 --base all-minilm-l6-v2 --to topics-delta
penjing delta apply topics-delta --to topics-whole          # topics/1's weights again, bit for bit
penjing delta scale topics-delta --by 0.5 --to half
penjing delta add topics-delta other-delta --to both --first-head
```

Deltas, checkpoints and bases are directories, or versions of the store. A delta knows its base by digest
and refuses another. Results are new directories; those of `apply` and `remove` open in Transformers.
"""

DELTA = Annotated[str, typer.Argument(help="A delta's directory, or a version that holds one.", show_default=False)]
DELTAS = Annotated[list[str], typer.Argument(help="Deltas of one base.", show_default=False)]
TO = Annotated[Path, typer.Option(help="New directory for the result.", show_default=False)]
BASE = Annotated[str | None, typer.Option(help="The base; by default where it lay when the delta was made.")]
FIRST_HEAD = Annotated[bool, typer.Option("--first-head", help="Take the first one's head although labels differ.")]

group = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="markdown")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(group, name="delta")


@group.callback()
def _group() -> None:
    pass


@group.command("extract")
def _extract(
    checkpoint: Annotated[str, typer.Argument(help="The fine-tuned checkpoint or version.", show_default=False)],
    base: Annotated[str, typer.Option(help="The checkpoint that training started from.", show_default=False)],
    to: TO,
    form: Annotated[str, typer.Option(help="exact, or smaller and inexact: int8, int4, sign.")] = "exact",
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """Write the delta of a fine-tuned checkpoint from its base."""
    from penjing.app.delta import extract

    _say_delta(extract(checkpoint, base=base, to=to, form=_one_of(form, _FORMS), store=store), as_json=as_json)


@group.command("apply")
def _apply(
    delta: DELTA,
    to: TO,
    base: BASE = None,
    scale: Annotated[float, typer.Option(help="How much of it; -1 moves away from what was learnt.")] = 1.0,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """Write the checkpoint that a delta leads to from its base."""
    from penjing.app.delta import apply

    _say_checkpoint(apply(delta, to=to, base=base, scale=scale, store=store), as_json=as_json)


@group.command("remove")
def _remove(
    delta: DELTA,
    checkpoint: Annotated[str, typer.Option("--from", help="The checkpoint it leads to.", show_default=False)],
    to: TO,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """Take an exact delta off its checkpoint: the base again, bit for bit, without having it."""
    from penjing.app.delta import remove

    _say_checkpoint(remove(delta, checkpoint=checkpoint, to=to, store=store), as_json=as_json)


@group.command("scale")
def _scale(
    delta: DELTA,
    by: Annotated[float, typer.Option(help="The factor.", show_default=False)],
    to: TO,
    base: BASE = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """Write a multiple of a delta."""
    from penjing.app.delta import scale

    _say_delta(scale(delta, by=by, to=to, base=base, store=store), as_json=as_json)


@group.command("add")
def _add(
    deltas: DELTAS,
    to: TO,
    base: BASE = None,
    first_head: FIRST_HEAD = False,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """Write the sum of deltas of one base; the first gives the head."""
    from penjing.app.delta import add

    _say_delta(add(deltas, to=to, base=base, first_head=first_head, store=store), as_json=as_json)


@group.command("subtract")
def _subtract(
    delta: DELTA,
    others: Annotated[list[str], typer.Argument(help="Deltas to take away.", show_default=False)],
    to: TO,
    base: BASE = None,
    first_head: FIRST_HEAD = False,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """Write a delta without others of the same base."""
    from penjing.app.delta import subtract

    _say_delta(subtract(delta, others, to=to, base=base, first_head=first_head, store=store), as_json=as_json)


@group.command("merge")
def _merge(
    deltas: DELTAS,
    to: TO,
    rule: Annotated[str, typer.Option(help="mean, or ties: each weight moved by those that agree.")] = "mean",
    weight: Annotated[list[float] | None, typer.Option(help="One a delta, in order; by default all alike.")] = None,
    keep: Annotated[float, typer.Option(help="Share of the largest differences that ties looks at.")] = 0.2,
    base: BASE = None,
    first_head: FIRST_HEAD = False,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """Write one delta that stands for several of one base."""
    from penjing.app.delta import merge

    made = merge(
        deltas, to=to, rule=_one_of(rule, _RULES), weights=weight, keep=keep, base=base, first_head=first_head,
        store=store,
    )  # fmt: skip
    _say_delta(made, as_json=as_json)


@group.command("show")
def _show(delta: DELTA, store: STORE = DEFAULT_STORE, as_json: JSON = False) -> None:
    """What a delta says of itself, its files compared with their digests."""
    from penjing.app.delta import show

    facts = show(delta, store=store)
    if as_json:
        print_json(facts)
        return
    typer.echo(f"{facts['path']}: {facts['form']}, {facts['bytes'] / 1e6:.2f} MB")
    typer.echo(f"base: {facts['base']} (digest {facts['base_digest'][:12]}…)")
    typer.echo("tensors: " + ", ".join(f"{count} {how}" for how, count in facts["tensors"].items()))


_FORMS, _RULES = ("exact", "int8", "int4", "sign"), ("mean", "ties")


def _one_of(given: str, known: tuple[str, ...]) -> Any:
    from penjing.core.errors import UsageError

    if given not in known:
        raise UsageError(f"{given!r}", expected=f"one of {', '.join(known)}")
    return given


def _say_delta(made: DeltaMade, *, as_json: bool) -> None:
    if as_json:
        error = made.error.model_dump() if made.error else None
        print_json(
            {"path": str(made.path), "form": made.form, "base": made.base, "bytes": made.bytes}
            | {"whole_bytes": made.whole_bytes, "error": error}
        )
        return
    typer.echo(f"Wrote {made.path}: {made.form}, {made.bytes / 1e6:.2f} of {made.whole_bytes / 1e6:.2f} MB.")
    if made.error:
        typer.echo(
            f"It loses {made.error.relative:.1%} of the difference; no weight is off by more than "
            f"{made.error.largest:.1e}."
        )


def _say_checkpoint(made: CheckpointMade, *, as_json: bool) -> None:
    if as_json:
        print_json({"path": str(made.path), "exact": made.exact})
        return
    how = "bit for bit" if made.exact else "not bit for bit"
    typer.echo(f"Wrote {made.path}: {how} the weights that the delta was made of.")
