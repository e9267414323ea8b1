"""Small bundles for tests."""

from __future__ import annotations

from pathlib import Path

from penjing.core.machine import Machine
from penjing.core.nouns import Measurement, Task
from penjing.store import Bundle, EngineSpec, ManifestDraft, Store, TextLimits

MACHINE = Machine(
    processor="abacus", cores=1, instructions=(), memory_gib=1.0, system="Linux", python="3.11.0", versions={}
)
ENGINE = EngineSpec(name="openvino", precision="int8", file="engine/model.xml", takes_type_ids=False)


def draft(engine: EngineSpec | None = None, tokenizer: str = "checkpoint/tokenizer.json") -> ManifestDraft:
    return ManifestDraft(
        task=Task.TEXT_CLASSIFICATION,
        labels=("sport", "体育"),
        text=TextLimits(tokenizer=tokenizer, max_tokens=128),
        engine=engine,
        recipe={"epochs": 3},
        metrics={"accuracy": Measurement(value=0.9, low=0.88, high=0.92, n=1000)},
        machine=MACHINE,
    )


def fill(path: Path, weights: bytes = b"weights") -> None:
    """Write the files that ``draft`` names, with and without an engine."""
    for name, content in {
        "checkpoint/tokenizer.json": b"{}",
        "checkpoint/model.safetensors": weights,
        "engine/model.xml": b"<net/>",
        "engine/model.bin": weights,
    }.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def publish(store: Store, model: str = "newsgroups", weights: bytes = b"weights") -> Bundle:
    with store.stage(model) as staging:
        fill(staging.path, weights)
        return staging.publish(draft(ENGINE))


def litter(root: Path) -> list[str]:
    """Hidden names anywhere in a store."""
    return sorted(str(path.relative_to(root)) for path in root.rglob(".*"))
