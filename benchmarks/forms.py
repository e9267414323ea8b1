"""The int8 form of a model that writes, as a second version: what several benchmarks set beside the first."""

from __future__ import annotations

import shutil
from pathlib import Path

import penjing
from penjing.app.publishing import export_generator
from penjing.engines import Prompt
from penjing.store import Store


def both_forms(checkpoint: Path, name: str, root: Path) -> Store:
    """A store with a checkpoint as it comes, version 1, and its int8 form, version 2. No gate: its loss is measured.

    A run that was killed goes on where it was.
    """
    home = Store(root)
    if name not in home.models():
        penjing.export(str(checkpoint), name=name, store=root)
    if 2 not in home.versions(name):
        _publish_int8(home, name)
    return home


def _publish_int8(home: Store, name: str) -> None:
    parent = home.bundle(name, 1)
    with home.stage(name) as staging:
        shutil.copytree(parent.path / "checkpoint", staging.path / "checkpoint")
        spec, _ = export_generator(staging.path, probes=[Prompt(list(range(5, 25)))], precision="int8")
        staging.publish(parent.manifest.draft().model_copy(update={"engine": spec}))
