"""``penjing quantize``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from penjing.app.cli.options import (
    DEFAULT_STORE,
    JSON,
    MODEL_UNLESS_RECIPE,
    RECIPE,
    SETS,
    STORE,
    print_json,
    version_facts,
)

_HELP = """Make the int8 form of a version, prove what it costs on the whole test split and what it gains
through the server, and register it if it keeps the promise.

```console
penjing quantize newsgroups/1 --max-drop 0.02
```

--recover trains the version some more with int8's rounding, taught by itself, and makes int8 of that.
--restore returns the layers that int8 spoils most to fp32, the fewest with which --max-drop holds on held-out data
(the validation split, or --held-out), before the test split judges.

Exit status 1 and no new version if more accuracy would be lost than --max-drop allows. A version that was
published as it came (penjing export --name) carries no data: give it some with --data.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("quantize", help=_HELP)(_quantize)


def _quantize(
    model: MODEL_UNLESS_RECIPE = None,
    engine: Annotated[str | None, typer.Option(help="auto, measure, onnxruntime or openvino.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="Accuracy (F1, …) that may be lost, as a share: 0.02.")] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="Return the worst layers to fp32 until --max-drop holds on held-out data.")
    ] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Train with int8's rounding first, taught by the version itself.")
    ] = False,
    held_out: Annotated[
        str | None, typer.Option(help="Labelled texts to restore by, instead of the validation split.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="For a version that carries none: file, folder or data set.")] = None,
    base: Annotated[str | None, typer.Option(help="Where the base lies, for a version that holds a delta.")] = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.quantize import quantize
    from penjing.app.recipes import QuantizeCommand
    from penjing.app.terminal import TerminalProgress
    from penjing.core.recipe import resolve_recipe

    flags: dict[str, object] = {"model": model, "base": base, "quantize.engine": engine, "data.train": data}
    flags |= {"quantize.max_drop": max_drop, "quantize.restore.held_out": held_out}
    asked: dict[str, object] = {"quantize": {"restore": {}}} if restore else {}
    asked |= {"recover": {}} if recover else {}
    command = resolve_recipe(QuantizeCommand, recipe, sets or (), flags=flags, base=asked)
    done = quantize(command, store=store, progress=TerminalProgress())
    if as_json:
        print_json(version_facts(done.bundle))
    else:
        _show(done)


def _show(done: Any) -> None:
    from penjing.app.terminal import change_line, show, speed_table

    (metric,) = done.comparison.differences
    if done.systems:
        show(speed_table(done.systems, title="Through the server, in turns, with the test texts", metric=metric))
    show(
        *(done.restored.told() if done.restored else ()),
        change_line(done.comparison),
        f"Registered {done.bundle.reference}. Report: {done.bundle.path / 'report.html'}",
    )
