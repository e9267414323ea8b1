"""``bundle.json``: what a bundle is, what it was made from and what it was measured to do.

The manifest is the evidence. A field is added with a default so that older bundles still open;
``schema`` rises when that is not enough, and an unknown schema is refused, never guessed at.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import Field, ValidationError

from penjing.core.errors import CorruptBundleError
from penjing.core.machine import Machine
from penjing.core.nouns import Embedding, Frozen, Measurement, Problem, Task, Translation

MANIFEST_NAME = "bundle.json"
SIGNATURE_NAME = "bundle.sig"
SCHEMA_VERSION = 1
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


class FileRecord(Frozen):
    """One file of the bundle."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class EngineSpec(Frozen):
    """What executes the bundle.

    Attributes:
        name: key of the engine registry; ``cascade`` has its engines in the manifest's ``stages``.
        precision: number format of the matrix products.
        file: the engine's model, relative to the bundle; ``ctranslate2`` opens the directory it lies in. Of a
            ``cascade`` that of its last stage, whose precision it also tells.
        takes_type_ids: whether callers may tell the two texts of a pair apart by ``token_type_ids``.
        reads: what the head reads of each sequence, and so what it has a row of outputs for.
        fp32_layers: of an ``int8`` form, the layers that stayed in fp32 because int8 lost too much in them.
    """

    name: Literal["onnxruntime", "openvino", "ctranslate2", "cascade"]
    precision: Literal["fp32", "bf16", "int8"]
    file: str
    takes_type_ids: bool = True
    reads: Literal["first", "tokens", "mean", "chosen"] = "first"
    fp32_layers: tuple[str, ...] = ()


class StageSpec(Frozen):
    """One stage of a cascade.

    Attributes:
        engine: what executes it.
        source: the version that it was.
        temperature: its outputs are divided by it, so that their probabilities fit how often they are right.
        sureness_temperature: at this temperature the probability of its likeliest label, its sureness, fits how often
            the last stage says the same.
        threshold: the sureness from which on it answers; None of the last stage, which answers all that is left.
        bias: what is added to each output before all else, in the order of the labels; empty is nothing.
        share: of held-out texts that it answers.
    """

    engine: EngineSpec
    source: str
    temperature: float = Field(gt=0)
    sureness_temperature: float = Field(1.0, gt=0)
    threshold: float | None = Field(None, ge=0, le=1)
    bias: tuple[float, ...] = ()
    share: Measurement


class TextLimits(Frozen):
    """How text becomes tokens for this model.

    Attributes:
        max_tokens: of a sequence, special tokens included.
        stride: tokens by which the windows of a longer text overlap; 0 where it is cut.
    """

    tokenizer: str = "checkpoint/tokenizer.json"
    max_tokens: int = Field(ge=3, le=1 << 20)
    pad_id: int = 0
    stride: int = Field(default=0, ge=0)


class Parent(Frozen):
    """What the bundle was made from: another version, or a checkpoint by digest."""

    kind: Literal["version", "checkpoint"]
    name: str
    digest: str


class DataRecord(Frozen):
    """A data split that made or judged the model."""

    source: str
    sha256: str
    rows: int = Field(ge=0)


class ManifestDraft(Frozen):
    """All of a manifest but what the store itself decides (name, version, time, files).

    Attributes:
        labels: names of the head's outputs.
        problem_type: what text classification answers with: one label, several, or a number. None is one label.
        embedding: what an embedding model makes of a text; None for other tasks.
        translation: languages and search of a translation model; None for other tasks.
        stages: of a cascade, the cheapest first; each hands on what it is not sure of. Empty for all others.
        decoding: settings by which outputs become answers, such as ``temperature``, or ``threshold`` of several
            labels; found on a validation split, or read off the training split.
    """

    task: Task
    labels: tuple[str, ...] = ()
    problem_type: Problem | None = None
    embedding: Embedding | None = None
    translation: Translation | None = None
    text: TextLimits
    engine: EngineSpec | None = None
    stages: tuple[StageSpec, ...] = ()
    decoding: dict[str, float] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)
    recipe_digest: str = ""
    parents: tuple[Parent, ...] = ()
    data: dict[str, DataRecord] = Field(default_factory=dict)
    metrics: dict[str, Measurement] = Field(default_factory=dict)
    speed: dict[str, Measurement] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    machine: Machine


class Manifest(ManifestDraft):
    """The whole of ``bundle.json``."""

    schema_version: Literal[1] = 1
    model: str = Field(pattern=NAME_PATTERN)
    version: int = Field(ge=1)
    created: datetime
    files: dict[str, FileRecord]

    def draft(self) -> ManifestDraft:
        """The part that is not the store's own: to make another version from."""
        return ManifestDraft.model_validate({name: getattr(self, name) for name in ManifestDraft.model_fields})

    @property
    def engine_bytes(self) -> int:
        """Size of what serving loads: engine files and tokenizer."""
        return sum(
            r.bytes for name, r in self.files.items() if name.startswith("engine/") or name == self.text.tokenizer
        )


def manifest_bytes(manifest: Manifest) -> bytes:
    """The content of ``bundle.json``."""
    return manifest.model_dump_json(indent=2).encode() + b"\n"


def parse_manifest(content: bytes, *, origin: str) -> Manifest:
    """Read the content of a ``bundle.json``.

    Args:
        content: the file's bytes.
        origin: what to call the file in errors.

    Raises:
        CorruptBundleError: not JSON, of an unknown schema, or with fields that do not fit; lists every fault.
    """
    _check_schema(content, origin=origin)
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, d['loc']))}: {d['msg']}" for d in error.errors(include_url=False)]
    else:
        faults = file_faults(manifest, manifest.files)
    if faults:
        raise CorruptBundleError(f"{origin} does not fit its schema: {'; '.join(faults)}", do=_ANEW)
    return manifest


def _check_schema(content: bytes, *, origin: str) -> None:
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptBundleError(f"{origin} is not JSON: {error}", expected="a manifest", do=_ANEW) from error
    if not isinstance(raw, dict):
        raise CorruptBundleError(f"{origin} holds a {type(raw).__name__}", expected="a JSON object", do=_ANEW)
    if raw.get("schema_version") != SCHEMA_VERSION:
        raise CorruptBundleError(
            f"{origin} has schema_version {raw.get('schema_version')!r}",
            expected=f"schema_version {SCHEMA_VERSION}",
            do="Open it with the release of Penjing that wrote it, or a newer one.",
        )


def file_faults(draft: ManifestDraft, files: dict[str, FileRecord]) -> list[str]:
    """What is wrong with the file names of a bundle: unsafe ones, and named ones that are absent."""
    faults = [f"file name {name!r} is not a plain relative path" for name in files if not is_plain_name(name)]
    if draft.engine and draft.engine.file not in files:
        faults.append(f"engine.file names {draft.engine.file!r}, which the bundle lacks")
    for number, stage in enumerate(draft.stages, start=1):
        if stage.engine.file not in files:
            faults.append(f"stage {number} names {stage.engine.file!r}, which the bundle lacks")
    faults += _stage_faults(draft)
    if draft.text.tokenizer not in files:
        faults.append(f"text.tokenizer names {draft.text.tokenizer!r}, which the bundle lacks")
    return faults


def _stage_faults(draft: ManifestDraft) -> list[str]:
    is_cascade = draft.engine is not None and draft.engine.name == "cascade"
    if is_cascade != bool(draft.stages):
        return ["engine cascade without stages" if is_cascade else "stages of an engine that is no cascade"]
    faults = []
    for number, stage in enumerate(draft.stages, start=1):
        if stage.engine.name in ("cascade", "ctranslate2"):
            faults.append(f"stage {number} is a {stage.engine.name}")
        if len(stage.bias) not in (0, len(draft.labels)):
            faults.append(f"stage {number} has {len(stage.bias)} numbers of bias for {len(draft.labels)} labels")
        if (stage.threshold is None) != (number == len(draft.stages)):
            faults.append(f"stage {number} has threshold {stage.threshold}, and all but the last have one")
    return faults


def is_plain_name(name: str) -> bool:
    """Whether ``name`` is a relative POSIX path that stays inside its directory and prints on one line."""
    inside = not name.startswith("/") and ".." not in name.split("/") and "\\" not in name
    return inside and name.isprintable() and name == str(PurePosixPath(name)) and name != "."


_ANEW = "Publish the version again from its source."
