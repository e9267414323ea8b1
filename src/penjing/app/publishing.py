"""The last steps that every stage shares: the engine's files, the report, the version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from penjing.app.judging import keep_predictions
from penjing.app.prepared import Part
from penjing.app.recipes import ExportRecipe
from penjing.app.tasks import Judgement
from penjing.core.errors import ExportError, UsageError
from penjing.core.files import canonical_json
from penjing.core.nouns import Measurement, Task
from penjing.engines import ENGINE_FILES, GENERATOR_FILES, EngineName, Prompt, open_engine, open_generator
from penjing.evaluate import ReportContent, write_report
from penjing.export.ctranslate2_export import ANSWER_TOKENS, agreement, export_ctranslate2, prove_same_tokens
from penjing.export.onnx_export import export_onnx, prove_parity
from penjing.export.openvino_ir import write_openvino
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.tasks import WRITING_TASKS, reads_of
from penjing.store import Bundle, EngineSpec, ManifestDraft, Staging
from penjing.tasks.translation import source_of
from penjing.tokens import Encoding

_READ = 4  # tokens that are compared of a probe that names none, where a head reads those that are named


def export_fp32(directory: Path, recipe: ExportRecipe, *, probes: Sequence[Encoding]) -> tuple[EngineSpec, Measurement]:
    """Write ``directory/engine`` from ``directory/checkpoint`` and prove that it answers the same.

    Returns:
        the engine, and the largest difference as a share of the outputs' scale.

    Raises:
        ExportError, ParityError: nothing usable was written.
    """
    if inspect_checkpoint(directory / "checkpoint").task in WRITING_TASKS:
        return export_generator(directory, probes=[prompt_of(probe) for probe in probes])
    if recipe.engine == "ctranslate2":
        raise UsageError("engine ctranslate2", expected="a model that writes: it runs no other")
    engine: EngineName = "onnxruntime" if recipe.engine == "auto" else recipe.engine
    probes = [one if one.chosen is not None else replace(one, chosen=np.arange(len(one))[:_READ]) for one in probes]
    engines = directory / "engine"
    onnx = engines / ENGINE_FILES["onnxruntime"]
    reference = export_onnx(directory / "checkpoint", onnx, probes)
    if engine == "openvino":
        _convert(onnx, engines / ENGINE_FILES["openvino"])
        onnx.unlink()
    file, checkpoint = engines / ENGINE_FILES[engine], inspect_checkpoint(directory / "checkpoint")
    task = checkpoint.task
    reads = reads_of(task, checkpoint.embedding if task is Task.FEATURE_EXTRACTION else None)
    opened = open_engine(engine, file, instances=1)
    try:
        difference = prove_parity(opened, probes, reference, reads=reads)
    finally:
        opened.close()
    types = int(checkpoint.config.get("type_vocab_size") or 0) > 1
    path = str(file.relative_to(directory))
    return EngineSpec(name=engine, precision="fp32", file=path, takes_type_ids=types, reads=reads), difference


def export_generator(
    directory: Path, *, probes: Sequence[Prompt], precision: Literal["fp32", "int8"] = "fp32"
) -> tuple[EngineSpec, Measurement]:
    """The same of a model that writes: ``directory/engine`` for CTranslate2.

    Returns:
        the engine, and in fp32 the largest difference of a token's log-probability; in int8 the share of the
        probes that are answered by the very same tokens.

    Raises:
        ExportError, ParityError: nothing usable was written.
    """
    file = directory / "engine" / GENERATOR_FILES["ctranslate2"]
    reference = export_ctranslate2(directory / "checkpoint", file.parent, probes, precision=precision)
    engine = open_generator("ctranslate2", file, instances=1, precision=precision)
    try:
        found = (prove_same_tokens if precision == "fp32" else agreement)(engine, probes, reference)
    finally:
        engine.close()
    path = str(file.relative_to(directory))
    return EngineSpec(name="ctranslate2", precision=precision, file=path, takes_type_ids=False, reads="chosen"), found


def prompt_of(probe: Encoding) -> Prompt:
    """What stands before the first token that counts, and leaves room for an answer; of a pair its source."""
    if probe.type_ids is not None:
        return Prompt(source_of(probe).tolist())
    first = len(probe) if probe.chosen is None or not len(probe.chosen) else int(probe.chosen[0]) + 1
    return Prompt(probe.ids[: max(1, min(first, len(probe) - ANSWER_TOKENS))].tolist())


def _convert(onnx: Path, target: Path) -> None:
    try:
        write_openvino(onnx, target)
    except RuntimeError as error:  # all that OpenVINO raises, on a full disk too
        raise ExportError(
            f"OpenVINO could not write {target}: {error}",
            expected="a graph it can convert, and a disk with room left",
            do="Free space, or choose another engine (--engine onnxruntime).",
        ) from error


def publish(
    staging: Staging,
    draft: ManifestDraft,
    *,
    content: ReportContent,
    judgement: Judgement | None = None,
    test: Part | None = None,
) -> Bundle:
    """Write the evidence beside the model, its answers to the test split among it, and publish the version."""
    write_report(staging.path / "report.html", content)
    (staging.path / "evidence").mkdir(exist_ok=True)
    if judgement and test:
        keep_predictions(judgement, test, staging.path)
    (staging.path / "recipe.yaml").write_text(content.recipe_yaml, encoding="utf-8")
    (staging.path / "evidence" / "report.json").write_bytes(canonical_json(content.model_dump(mode="json")))
    return staging.publish(draft)


def served_bytes(directory: Path, draft: ManifestDraft) -> int:
    """Bytes that serving loads: engine files and tokenizer."""
    files = [*(directory / "engine").rglob("*"), directory / draft.text.tokenizer]
    return sum(file.stat().st_size for file in files if file.is_file())
