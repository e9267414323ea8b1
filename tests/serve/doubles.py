"""Stand-ins for serving tests: a tiny tokenizer, engines that compute by hand, stores that hold them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from penjing.core.machine import Machine
from penjing.core.nouns import Embedding, Problem, Task
from penjing.serve import Server, ServeRecipe, StoreCatalogue, running_server
from penjing.serve.api.mounts import MoreMounts
from penjing.serve.loading import EngineOpener
from penjing.store.bundle import Bundle
from penjing.store.manifest import EngineSpec, ManifestDraft, TextLimits
from penjing.store.store import Store
from penjing.tokens import Encoding, PackedBatch

LABELS = ("bad", "fair", "good")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "poison", "slow", *(f"w{number}" for number in range(94)))
POISON, SLOW = WORDS.index("poison"), WORDS.index("slow")
MAX_TOKENS = 16
MACHINE = Machine(processor="test", cores=1, instructions=(), memory_gib=1.0, system="test", python="3", versions={})


def halves(sequences: list[list[int]], outputs: int = len(LABELS)) -> list[list[float]]:
    """What the fake engine answers: half the sum of the ids, plus the number of the output."""
    return [[sum(ids) / 2 + number for number in range(outputs)] for ids in sequences]


@dataclass
class FakeEngine:
    """Computes :func:`halves` of each sequence, or token, of a packed batch; fails on POISON, dawdles on SLOW."""

    name: str = "fake"
    instances: int = 2
    outputs: int = len(LABELS)
    delay_s: float = 0.0
    slow_s: float = 0.2
    batches: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    is_closed: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    def run(self, batch: PackedBatch) -> np.ndarray:
        assert not self.is_closed, "used after close"
        self.gate.wait(20)
        flat = batch.input_ids.ravel()
        sequences = [flat[begin : begin + length] for begin, length in zip(batch.first, batch.lengths, strict=True)]
        self.batches.append(len(sequences))
        time.sleep(self.delay_s + self.slow_s * any(SLOW in ids for ids in sequences))
        if any(POISON in ids for ids in sequences):
            raise RuntimeError("poisoned")
        if batch.reads == "tokens":
            sequences = [ids[at : at + 1] for ids in sequences for at in range(len(ids))]
        return np.array(halves([ids.tolist() for ids in sequences], self.outputs), np.float32)

    def close(self) -> None:
        self.is_closed = True


def ids(*numbers: int) -> Encoding:
    return Encoding(np.array(numbers, np.int64))


def write_tokenizer(path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    special = [("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))]
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))


def publish(
    store: Store,
    model: str = "m",
    *,
    labels: tuple[str, ...] = LABELS,
    problem: Problem | None = None,
    embedding: Embedding | None = None,
    engine: bytes = b"fake",
    name: str = "onnxruntime",
) -> Bundle:
    """Put a version into a store."""
    draft = ManifestDraft(
        task=Task.FEATURE_EXTRACTION if embedding else Task.TEXT_CLASSIFICATION,
        labels=() if embedding else labels,
        problem_type=problem,
        embedding=embedding,
        text=TextLimits(max_tokens=MAX_TOKENS),
        engine=EngineSpec(name=name, precision="fp32", file="engine/model.onnx", takes_type_ids=True),
        machine=MACHINE,
    )
    with store.stage(model) as staging:
        write_tokenizer(staging.path / "checkpoint" / "tokenizer.json")
        (staging.path / "checkpoint" / "config.json").write_text("{}")
        (staging.path / "engine").mkdir()
        (staging.path / "engine" / "model.onnx").write_bytes(engine)
        return staging.publish(draft)


def opens(engine: FakeEngine) -> EngineOpener:
    return lambda _bundle, _recipe: engine


def fresh(bundle: Bundle, recipe: ServeRecipe) -> FakeEngine:
    """A new engine for each version; the engine file may hold its arguments as JSON."""
    content = bundle.file("engine/model.onnx").read_bytes()
    if content == b"broken":
        raise RuntimeError("the file is broken")
    told = json.loads(content) if content.startswith(b"{") else {}
    embedding = bundle.manifest.embedding
    return FakeEngine(outputs=embedding.size if embedding else len(bundle.manifest.labels), **told)


@contextmanager
def serving(
    store: Store,
    *,
    open_with: EngineOpener = fresh,
    ready_within_s: float | None = 20,
    also: MoreMounts | None = None,
    **told: object,
) -> Iterator[Server]:
    recipe = ServeRecipe.model_validate({"port": 0, "poll_s": 0.02, "grace_s": 5.0} | told)
    catalogue = StoreCatalogue(store)
    with running_server(catalogue, recipe, open_with=open_with, ready_within_s=ready_within_s, also=also) as server:
        yield server
