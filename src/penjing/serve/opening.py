"""From the files of a version, published or not, to the engine that runs them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from penjing.core.errors import CorruptBundleError
from penjing.engines import GENERATORS, CascadeEngine, Engine, Generator, Stage, open_engine, open_generator
from penjing.store.manifest import EngineSpec, ManifestDraft


def open_files(directory: Path, draft: ManifestDraft, *, instances: int, threads: int = 1) -> Any:
    """An Engine, a cascade of them, or a Generator for a model that writes.

    Args:
        directory: where the files lie.
        draft: names them.
        instances: concurrent calls to lay the engine out for, and each stage of a cascade.
        threads: threads a call may use.

    Raises:
        CorruptBundleError: it has no engine, or the engine cannot read its file.
        ResourceError: the engine's package is not installed.
    """
    if draft.engine is None:
        raise CorruptBundleError(f"{directory} holds no engine", expected="an exported model", do="Run penjing export.")
    if not draft.stages:
        return _open(directory, draft.engine, instances=instances, threads=threads)
    with ExitStack() as undo:
        stages = []
        for spec in draft.stages:
            engine = _open(directory, spec.engine, instances=instances, threads=threads)
            undo.callback(engine.close)
            stages.append(Stage(engine, spec.temperature, spec.sureness_temperature, spec.threshold, spec.bias))
        undo.pop_all()
    return CascadeEngine(stages)


def _open(directory: Path, spec: EngineSpec, *, instances: int, threads: int) -> Any:
    opener: Callable[..., Engine | Generator] = open_generator if spec.name in GENERATORS else open_engine
    return opener(spec.name, directory / spec.file, instances=instances, threads=threads, precision=spec.precision)
