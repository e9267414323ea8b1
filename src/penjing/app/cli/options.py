"""Options that several commands share, declared once so that they read alike everywhere."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

STORE = Annotated[
    Path, typer.Option("--store", envvar="PENJING_STORE", help="Directory of the store.", show_default=True)
]
RECIPE = Annotated[Path | None, typer.Option("--recipe", help="YAML recipe; flags and --set go on top of it.")]
SETS = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one recipe key, e.g. training.epochs=2. May be repeated."),
]
JSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON for a program to read.")]
MODEL = Annotated[str, typer.Argument(help="A version: NAME (the newest), NAME/2 or NAME@stable.", show_default=False)]
MODEL_UNLESS_RECIPE = Annotated[
    str | None, typer.Argument(help="A version, as NAME/2; or the recipe names it.", show_default=False)
]
TENSORBOARD = Annotated[str | None, typer.Option(help="Folder for TensorBoard, which shows the run.")]
MLFLOW = Annotated[str | None, typer.Option(help="URI of MLflow, or env:VARIABLE that holds one.")]
DEFAULT_STORE = Path("store")


def print_json(value: Any) -> None:
    """One line of JSON on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def version_facts(bundle: Any) -> dict[str, Any]:
    """What ``--json`` says of a version."""
    manifest = bundle.manifest
    return {
        "model": manifest.model,
        "version": manifest.version,
        "path": str(bundle.path),
        "engine": manifest.engine.model_dump() if manifest.engine else None,
        "metrics": {name: figure.model_dump() for name, figure in manifest.metrics.items()},
        "speed": {name: figure.model_dump() for name, figure in manifest.speed.items()},
        "bytes": manifest.engine_bytes,
        "report": str(bundle.path / "report.html"),
    }


def free_port(wanted: int) -> int:
    """``wanted`` if nobody listens there, else 0, which takes any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted
