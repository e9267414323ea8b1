"""The int8 form of a model that writes, and how its speed is measured: text by text through the engine.

Promise: both versions translate the same texts in the same rounds, in turns, so that a noisy minute hurts both alike.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from penjing.app.evidence import system_rows
from penjing.app.holding import whole_checkpoint
from penjing.app.judging import open_drafted
from penjing.app.measure import System, measure, trial_texts
from penjing.app.prepared import Part, PreparedData
from penjing.app.publishing import export_generator, prompt_of, served_bytes
from penjing.app.recipes import MeasureRecipe
from penjing.app.tasks import flow_of
from penjing.app.tasks.translation import translate
from penjing.compress.quantize import Quantised
from penjing.core.nouns import Measurement, Task
from penjing.core.progress import Progress
from penjing.evaluate import SystemRow
from penjing.models.weights import weight_files
from penjing.store import Bundle, ManifestDraft
from penjing.tokens import Text

_PROBES = 16


def make_int8_writer(parent: Bundle, target: Path, data: PreparedData) -> Quantised:
    """Write ``target/engine`` from the parent's checkpoint, and the tokenizer beside it.

    Raises:
        UsageError: the parent holds no checkpoint.
        ExportError: the converter failed.
    """
    shutil.copytree(whole_checkpoint(parent), target / "checkpoint")
    probes = [prompt_of(probe) for probe in data.test.sequences[:_PROBES]]
    spec, alike = export_generator(target, probes=probes, precision="int8")
    for file in weight_files(target / "checkpoint"):
        file.unlink()  # the parent has them
    note = f"weights by row in CTranslate2, {alike.value:.0%} of {alike.n} greedy answers to the letter those of fp32"
    return Quantised("ctranslate2", target / spec.file, note)


def measure_writers(
    versions: Sequence[tuple[Path, ManifestDraft]],
    quality: Sequence[Measurement | None],
    *,
    test: Part,
    recipe: MeasureRecipe,
    progress: Progress,
) -> tuple[tuple[SystemRow, ...], dict[str, Measurement]]:
    """The speed table of two versions, and the figures of the second with its speed-up over the first.

    None of text generation: its speed hangs on how much it is asked to write.
    """
    if versions[0][1].task is not Task.TRANSLATION:
        return (), {}
    flow = flow_of(versions[0][1].task)
    texts, tokens = trial_texts(test, flow)
    with ExitStack() as closing:
        systems = []
        for (directory, draft), name in zip(versions, ("Penjing fp32", "Penjing int8"), strict=True):
            engine = open_drafted(directory, draft)
            closing.callback(engine.close)

            def ask(some: Sequence[Text], engine: object = engine) -> object:
                return translate(engine, test.encoder, [str(text) for text in some])  # type: ignore[arg-type]

            systems.append(System(name, lambda text, ask=ask: ask([text]), ask))  # type: ignore[misc]
        speeds = measure(systems, texts, tokens, recipe=recipe, progress=progress)
    sizes = [served_bytes(directory, draft) for directory, draft in versions]
    figures = speeds[-1].summary() | {"speedup": speeds[-1].ratio_to(speeds[0])}
    return system_rows(speeds, quality, sizes), figures
