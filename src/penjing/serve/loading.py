"""From a bundle to a warm servable: verify, open, try.

Promise: what this returns has answered every shape class once, with finite numbers of the right
count, and every recorded request (:mod:`penjing.serve.warmup`) besides, so that no caller pays for the
first time and no broken export is ever AVAILABLE.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from penjing.core.errors import CorruptBundleError
from penjing.core.machine import usable_cores
from penjing.core.nouns import Task
from penjing.engines import Engine, GenerationOptions, Generator, Prompt, parts_of
from penjing.serve.lane import Lane
from penjing.serve.opening import open_files
from penjing.serve.recipe import ServeRecipe
from penjing.serve.translating import TranslationRows
from penjing.serve.versions import Servable
from penjing.serve.warmup import recorded
from penjing.serve.writing.lane import WritingLane
from penjing.serve.writing.writer import Writer
from penjing.store.bundle import Bundle
from penjing.store.manifest import Manifest
from penjing.tasks.answering import Answerer, answerer
from penjing.tasks.translation import Translator
from penjing.tokens import Encoding, Reads, pack_sequences, row_width
from penjing.tokens.packing import WIDTHS

EngineOpener = Callable[[Bundle, ServeRecipe], Any]  # Engine or Generator


def load(bundle: Bundle, recipe: ServeRecipe, *, open_with: EngineOpener) -> Servable:
    """Open and warm a bundle. Blocks for as long as that takes.

    Raises:
        CorruptBundleError: files differ from the manifest, or the engine's answers do.
        CheckpointError: the tokenizer cannot be read.
        ResourceError: the engine's package is not installed.
    """
    bundle.verify()
    manifest = bundle.manifest
    if manifest.task is Task.TEXT_GENERATION:
        return _load_writer(bundle, recipe, open_with(bundle, recipe))
    answering = _answerer_of(bundle)
    engine = open_with(bundle, recipe)
    try:
        warm_up(engine, manifest, reads=answering.reads, batch_tokens=recipe.batch_tokens)
        run_recorded(engine, recorded(bundle, recipe, answering), manifest, reads=answering.reads)
    except BaseException:
        engine.close()
        raise
    lane = Lane(
        engine,
        name=bundle.reference,
        batch_tokens=recipe.batch_tokens,
        max_queue_tokens=recipe.max_queue_tokens,
        pad_id=manifest.text.pad_id,
        reads=answering.reads,
    )
    return Servable(manifest, answering, lane)


def _answerer_of(bundle: Bundle) -> Answerer:
    manifest = bundle.manifest
    return answerer(
        manifest.task,
        bundle.file(manifest.text.tokenizer),
        max_tokens=manifest.text.max_tokens,
        stride=manifest.text.stride,
        outputs=manifest.labels,
        decoding=manifest.decoding,
        embedding=manifest.embedding,
        problem=manifest.problem_type,
        translation=manifest.translation,
    )


def _load_writer(bundle: Bundle, recipe: ServeRecipe, engine: Generator) -> Servable:
    """The same of a model that writes: each instance has written a token before it is asked."""
    try:
        writer = Writer(bundle.file(bundle.manifest.text.tokenizer), engine.shape)
        warm = [Prompt([0])] * engine.instances
        if not all(answers for answers in engine.generate(warm, GenerationOptions(max_tokens=1))):
            raise CorruptBundleError(f"the engine of {bundle.reference} wrote nothing", do="Export the model again.")
    except BaseException:
        engine.close()
        raise
    lane = WritingLane(engine, name=bundle.reference, max_tokens=recipe.max_queue_tokens)
    return Servable(bundle.manifest, writer, lane)


def open_bundle_engine(bundle: Bundle, recipe: ServeRecipe) -> Any:
    """The engine that the manifest names: an Engine, or a Generator for a model that writes.

    Raises:
        CorruptBundleError: the bundle holds no engine, or the engine cannot read its file.
    """
    instances = recipe.instances or usable_cores()
    opened = open_files(bundle.path, bundle.manifest, instances=instances, threads=recipe.threads)
    text, how = bundle.manifest.text, bundle.manifest.translation
    if how is None:
        return opened
    translator = Translator(bundle.file(text.tokenizer), how, max_tokens=text.max_tokens)
    return TranslationRows(cast("Generator", opened), translator)


def warm_up(engine: Engine, manifest: Manifest, *, batch_tokens: int, reads: Reads = "first") -> None:
    """Run each usual width once per instance, and one full batch; of a cascade each stage, for nonsense may be easy.

    Raises:
        CorruptBundleError: an answer is not finite, or not one number a label or dimension.
    """
    longest = manifest.text.max_tokens
    widths = [width for width in WIDTHS if width <= row_width(longest)]
    shapes = [[min(width, longest)] for width in widths]
    half = min(longest, 64)
    shapes.append([half] * max(1, batch_tokens // half))
    if manifest.translation is not None:  # its time hangs on what it writes, and of nonsense that may be much
        shapes = [[min(8, longest)]]
    for lengths in shapes:
        sequences = [_nonsense(length) for length in lengths]
        batch = pack_sequences(sequences, pad_id=manifest.text.pad_id, reads=reads)
        for part in parts_of(engine):
            for _ in range(engine.instances):
                _check(part.run(batch), manifest, rows=len(batch.cells))


def run_recorded(engine: Engine, sequences: list[Encoding], manifest: Manifest, *, reads: Reads) -> None:
    """Answer what earlier callers asked, a request's sequence at a time, turn by turn on each instance.

    Raises:
        CorruptBundleError: as :func:`warm_up`.
    """
    for sequence in sequences:
        batch = pack_sequences([sequence], pad_id=manifest.text.pad_id, reads=reads)
        _check(engine.run(batch), manifest, rows=len(batch.cells))


def _nonsense(length: int) -> Encoding:
    return Encoding(np.zeros(length, np.int64), chosen=np.zeros(1, np.int64))


def _check(outputs: np.ndarray, manifest: Manifest, *, rows: int) -> None:
    wanted = manifest.embedding.size if manifest.embedding else len(manifest.labels) or outputs.shape[-1]
    if outputs.shape != (rows, wanted) or not np.isfinite(outputs).all():
        finite = "finite" if np.isfinite(outputs).all() else "not all finite"
        raise CorruptBundleError(
            f"the engine of {manifest.model}/{manifest.version} gave {finite} outputs of shape {outputs.shape}",
            expected=f"finite ones of shape ({rows}, {wanted})",
            do="Export the model again.",
        )
