"""``penjing export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penjing.app.cli.options import DEFAULT_STORE, JSON, RECIPE, SETS, STORE, print_json, version_facts

if TYPE_CHECKING:
    from penjing.core.nouns import Measurement

_FORMS = ("savedmodel", "onnx", "openvino")
_HELP = """Put a version, or any fine-tuned checkpoint, in the form of an engine, with proof that it answers the same.

```console
penjing export newsgroups/1 --engine openvino      # a new version in the store
penjing export ./my-checkpoint --to ./exported     # outside a store
penjing export all-minilm-l6-v2 --name embedder    # a checkpoint as a version of its own
penjing export ./my-checkpoint --to models/bert/1 --format savedmodel   # for TensorFlow and TensorFlow Serving
penjing export ./my-checkpoint --to plain --format onnx                 # padded batches in, for any other program
```

With --name any checkpoint with a head becomes a version as it is; so does an encoder, which then gives
embeddings. It pools as the files beside it say (sentence-transformers' own), or else by the mean.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("export", help=_HELP)(_export)


def _export(
    model: Annotated[str, typer.Argument(help="A version (NAME/2, NAME@stable), or with --to a checkpoint.")],
    engine: Annotated[str | None, typer.Option(help="auto, onnxruntime or openvino.")] = None,
    to: Annotated[Path | None, typer.Option(help="Write here instead of into the store.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Publish the checkpoint as it is, under this name in the store.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="With --name: what for, where the checkpoint does not say: feature-extraction.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="With --name: longer texts are cut (or windowed) to this many tokens.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="Where the base lies, for a version that holds a delta.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="With --to, for other programs: savedmodel, onnx or openvino.")
    ] = None,
    tensorflow_python: Annotated[
        Path | None, typer.Option(help="With --format savedmodel: a Python that has TensorFlow; this one by default.")
    ] = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.export import export, export_checkpoint
    from penjing.app.recipes import ExportCommand
    from penjing.app.terminal import TerminalProgress, show
    from penjing.core.errors import UsageError
    from penjing.core.recipe import resolve_recipe

    if name is None and (task or max_tokens):
        raise UsageError("--task and --max-tokens are for a checkpoint that is published", expected="--name NAME too")
    if name is not None and to is not None:
        raise UsageError("both --name and --to were given", expected="one of them")
    told = resolve_recipe(ExportCommand, recipe, sets or (), flags={"engine": engine})
    if form is not None and (form not in _FORMS or to is None or engine is not None):
        raise UsageError(f"--format {form}", expected=f"one of {', '.join(_FORMS)}, with --to and without --engine")
    if to is not None:
        if form is None:
            difference = export_checkpoint(model, to, engine=told)
        else:
            difference = _in_other_form(model, to, form=form, python=tensorflow_python)
        _tell(to, difference, as_json=as_json)
        return
    bundle = export(
        model,
        store=store,
        engine=told,
        name=name,
        task=task,
        max_tokens=max_tokens,
        base=base,
        progress=TerminalProgress(),
    )
    if as_json:
        print_json(version_facts(bundle))
        return
    show(f"Registered {bundle.reference}. Report: {bundle.path / 'report.html'}")


def _in_other_form(model: str, to: Path, *, form: str, python: Path | None) -> Measurement:
    from penjing.app.other_forms import export_padded, export_saved_model

    if form == "savedmodel":
        return export_saved_model(model, to, tensorflow_python=python)
    return export_padded(model, to, form="onnx" if form == "onnx" else "openvino")


def _tell(to: Path, difference: Measurement, *, as_json: bool) -> None:
    from penjing.app.terminal import show

    if as_json:
        print_json({"path": str(to), "difference": difference.value})
    else:
        show(f"Wrote {to}; largest difference from Transformers: {difference.value:.1e} of the outputs' scale.")
