"""``delta.json``: what a delta is a delta of, and how each tensor of θ_t comes about.

A delta is a checkpoint directory without its weights: ``config.json`` and tokenizer of θ_t, and the difference
in ``delta.safetensors``, or an adapter in PEFT's own two files, which plain ``peft`` opens. Promise: a file that
is absent, changed or cut short is refused before it is used, and so is a base with another digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field, ValidationError

from penjing.core.errors import CheckpointError
from penjing.core.files import PICKLE_SUFFIXES, sha256_file, write_atomically
from penjing.core.nouns import Frozen
from penjing.models.weights import read_json, safetensors_shapes

DELTA_FILE, DIFFERENCE_FILE = "delta.json", "delta.safetensors"
ADAPTER_CONFIG, ADAPTER_FILE = "adapter_config.json", "adapter_model.safetensors"
OWN_FILES = frozenset({DELTA_FILE, DIFFERENCE_FILE, ADAPTER_CONFIG, ADAPTER_FILE})
Form = Literal["exact", "int8", "int4", "sign", "adapter"]
How = Literal["same", "whole", "ulps", "int8", "int4", "sign", "lora", "dora", "ia3"]
_SHA256 = r"^[0-9a-f]{64}$"


class Found(Protocol):
    """A checkpoint that passed inspection, as :class:`penjing.models.checkpoint.Checkpoint` says it."""

    @property
    def path(self) -> Path:
        """Its directory."""

    @property
    def source(self) -> str:
        """What the user called it."""

    @property
    def digest(self) -> str:
        """Over config, weights and tokenizer."""

    @property
    def config(self) -> Mapping[str, Any]:
        """``config.json``."""


class TensorFacts(Frozen):
    """One tensor of θ_t.

    Attributes:
        how: ``same`` as the base's, stored ``whole``, or by what is added to the base's.
        of: the base's tensor; None where it has none.
        shape: as it is in θ_t.
        dtype: torch's name, such as ``float32``.
    """

    how: How
    of: str | None
    shape: tuple[int, ...]
    dtype: str


class BaseFacts(Frozen):
    """θ_p.

    Attributes:
        name: what it was called when the delta was made.
        digest: over its config, weights and tokenizer.
        weights: digest of those of its tensors that θ_t goes back to.
        config: its ``config.json``.
    """

    name: str
    digest: str = Field(pattern=_SHA256)
    weights: str = Field(pattern=_SHA256)
    config: dict[str, Any]


class DeltaError(Frozen):
    """What a low-bit form loses.

    Attributes:
        largest: difference of any weight.
        relative: Euclidean length of all that is lost, as a share of the delta's own.
    """

    largest: float
    relative: float


class DeltaFacts(Frozen):
    """The content of ``delta.json``.

    Attributes:
        form: ``exact`` gives θ_t back bit for bit; ``int8``, ``int4`` and ``sign`` nearly; an ``adapter`` to rounding.
        weights: digest of the tensors of θ_t as they are given back.
        files: sha256 of the files with the difference.
    """

    schema_version: Literal[1] = 1
    form: Form
    base: BaseFacts
    weights: str = Field(pattern=_SHA256)
    error: DeltaError | None = None
    tensors: dict[str, TensorFacts]
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Delta:
    """A delta on disk whose files were found whole."""

    path: Path
    facts: DeltaFacts

    @property
    def config(self) -> dict[str, Any]:
        """``config.json`` of θ_t."""
        config = read_json(self.path / "config.json", expected="a Transformers config.json")
        return config if isinstance(config, dict) else {}

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the head's outputs; empty where it has none."""
        named = self.config.get("id2label")
        return tuple(str(label) for label in named.values()) if isinstance(named, dict) else ()

    @property
    def bytes(self) -> int:
        """Size of what stands for the weights."""
        return sum((self.path / name).stat().st_size for name in (*self.facts.files, DELTA_FILE))

    @property
    def digest(self) -> str:
        """Of ``delta.json``, which holds the digests of all else."""
        return sha256_file(self.path / DELTA_FILE)


def is_delta(path: Path) -> bool:
    """Whether a directory holds a delta."""
    return (path / DELTA_FILE).is_file()


def read_delta(path: Path) -> Delta:
    """Open a delta and compare its files with their digests.

    Raises:
        CheckpointError: it is none, or not as it was written.
    """
    _refuse_other(path)
    raw = read_json(path / DELTA_FILE, expected="a delta's facts")
    try:
        facts = DeltaFacts.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise CheckpointError(
            f"{path / DELTA_FILE} does not fit its schema: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            expected="the facts of a delta, schema_version 1",
            do="Extract the delta again, or open it with the release of Penjing that wrote it.",
        ) from error
    for name, recorded in facts.files.items():
        _refuse_changed(path, name, recorded)
    return Delta(path, facts)


def write_facts(path: Path, facts: DeltaFacts) -> Delta:
    """Write ``delta.json``, the last file of a delta in the making."""
    write_atomically(path / DELTA_FILE, facts.model_dump_json(indent=1).encode() + b"\n")
    return Delta(path, facts)


def files_of(path: Path) -> dict[str, str]:
    """The files with the difference that lie in a directory, and their digests."""
    return {name: sha256_file(path / name) for name in sorted(OWN_FILES - {DELTA_FILE}) if (path / name).is_file()}


def _refuse_other(path: Path) -> None:
    if is_delta(path):
        return
    what = "is not a directory" if not path.is_dir() else f"holds no {DELTA_FILE}"
    do = "Make one: penjing delta extract CHECKPOINT --base BASE --to DIRECTORY."
    if (path / ADAPTER_CONFIG).is_file():
        what, do = "is an adapter that does not say by digest what its base was", "Train it by penjing finetune."
    raise CheckpointError(f"{path} {what}", expected="a delta", do=do)


def _refuse_changed(path: Path, name: str, recorded: str) -> None:
    if name not in OWN_FILES or name.endswith(PICKLE_SUFFIXES):
        raise CheckpointError(f"{path / DELTA_FILE} names {name!r}", expected=f"one of {', '.join(sorted(OWN_FILES))}")
    file = path / name
    if not file.is_file():
        raise CheckpointError(f"the delta {path} lacks {name}", expected="all of its files", do="Copy it again.")
    if name.endswith(".safetensors"):
        safetensors_shapes(file)  # says more exactly what is wrong with a file that was cut short
    if sha256_file(file) != recorded:
        raise CheckpointError(
            f"{file} is not as it was written", expected=f"content with digest {recorded[:12]}…", do="Copy it again."
        )
