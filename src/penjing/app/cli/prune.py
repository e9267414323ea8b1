"""``penjing prune``."""

from __future__ import annotations

from typing import Annotated

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

_HELP = """Cut what a version does not need: tokens, layers, attention heads, feed-forward neurons; the result is a
smaller version, compared with it text by text and through the server.

```console
penjing prune newsgroups/1 --vocabulary --layers 4
```

--vocabulary keeps the tokens that the training texts (and --texts) need: such texts are answered as before.
--layers, --heads and --neurons keep what the loss hangs on most. Train the result again with penjing distill --student.
--speedup and --max-mb choose heads and neurons themselves, by importance and by what they cost on this machine.
--sparsity sets single weights to zero: smaller files, not a faster engine.
Exit status 1 and no new version if more would be lost than --max-drop allows.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("prune", help=_HELP)(_prune)


def _prune(
    model: MODEL_UNLESS_RECIPE = None,
    name: Annotated[str | None, typer.Option(help="Name of the new version; the model's own by default.")] = None,
    vocabulary: Annotated[
        bool, typer.Option("--vocabulary", help="Drop the tokens that the texts do not need.")
    ] = False,
    texts: Annotated[list[str] | None, typer.Option(help="More texts whose tokens are kept. May be repeated.")] = None,
    layers: Annotated[int | None, typer.Option(help="Layers that stay.")] = None,
    heads: Annotated[int | None, typer.Option(help="Attention heads of the whole model that stay.")] = None,
    neurons: Annotated[int | None, typer.Option(help="Feed-forward neurons of each layer that stay.")] = None,
    speedup: Annotated[
        float | None, typer.Option(help="Choose heads and neurons so that the engine is so fast.")
    ] = None,
    max_mb: Annotated[
        float | None, typer.Option(help="Choose heads and neurons so that serving loads no more.")
    ] = None,
    sparsity: Annotated[float | None, typer.Option(help="Share of the layers' weights that become zero: 0.7.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="Accuracy (F1, …) that may be lost, as a share: 0.02.")] = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.prune import prune
    from penjing.app.smaller_recipes import PruneCommand
    from penjing.app.terminal import TerminalProgress, show_smaller
    from penjing.core.recipe import resolve_recipe

    flags = {
        "model": model, "name": name, "vocabulary": vocabulary or None, "texts": texts or None, "layers": layers,
        "heads": heads, "neurons": neurons, "weights.share": sparsity, "target.speedup": speedup,
        "target.max_mb": max_mb, "max_drop": max_drop,
    }  # fmt: skip
    command = resolve_recipe(PruneCommand, recipe, sets or (), flags=flags)
    done = prune(command, store=store, progress=TerminalProgress()).ended
    if as_json:
        print_json(version_facts(done.bundle))
        return
    show_smaller(done, called="pruning")
