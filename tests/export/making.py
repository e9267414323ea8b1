"""Tiny checkpoints of every family, exported once for all tests of a run."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from models.tiny import VOCABULARY, random_sequences, tiny_model
from penjing.core.nouns import Embedding, Task
from penjing.export.onnx_export import export_onnx
from penjing.export.probes import random_probes
from penjing.models.pooling import write_embedding
from penjing.models.quiet import quiet_transformers
from penjing.tokens import Encoding

LENGTHS = [60, 1, 2, 17, 33, 5, 21, 8]
TAKES_TYPES = {"bert", "electra"}


@dataclass(frozen=True)
class Exported:
    """A checkpoint, its ONNX form, and Transformers' own answers for some sequences."""

    checkpoint: Path
    onnx: Path
    probes: list[Encoding]
    reference: np.ndarray


def tiny_checkpoint(folder: Path, family: str) -> Path:
    """Save a tiny random classifier of a family, with a tokenizer that fits it.

    Its matrices are enlarged until attention prefers some tokens to others, as trained attention
    does; BERT, which is quantised too, is trained for some seconds.
    """
    model = tiny_model(family).float()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(3.0)
    if family == "bert":
        _teach(model)
    with quiet_transformers():
        model.save_pretrained(folder)
    words = {f"w{index}": index for index in range(VOCABULARY)}
    Tokenizer(WordLevel(words, unk_token="w0")).save(str(folder / "tokenizer.json"))
    return folder


def tiny_encoder(folder: Path, pooling: str) -> Path:
    """Save a tiny random encoder, with the files that say how it pools."""
    with quiet_transformers():
        tiny_model("bert", Task.FEATURE_EXTRACTION).float().save_pretrained(folder)
    words = {f"w{index}": index for index in range(VOCABULARY)}
    Tokenizer(WordLevel(words, unk_token="w0")).save(str(folder / "tokenizer.json"))
    write_embedding(folder, Embedding(pooling=pooling, size=32), longest=64)
    return folder


def topical(draw: torch.Generator, *, count: int = 64, length: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Random ids (count, length), and as targets the remainder modulo 5 that half of them share."""
    topics = torch.randint(5, (count,), generator=draw)
    ids = torch.randint(5, VOCABULARY, (count, length), generator=draw)
    on_topic = torch.rand((count, length), generator=draw) < 0.5
    return torch.where(on_topic, ids - ids % 5 + topics[:, None], ids).clamp(max=VOCABULARY - 1), topics


def _teach(model: torch.nn.Module, *, steps: int = 100) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so little work is only slowed down by sharing it
    draw, optimiser = torch.Generator().manual_seed(0), torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    for _ in range(steps):
        ids, topics = topical(draw)
        torch.nn.functional.cross_entropy(model(input_ids=ids).logits, topics).backward()
        optimiser.step()
        optimiser.zero_grad()
    torch.set_num_threads(threads)
    model.eval()


@cache
def exported(family: str) -> Exported:
    """Export a tiny model of a family. Treat the files as read-only."""
    folder = Path(tempfile.mkdtemp(prefix="penjing-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    checkpoint, onnx = tiny_checkpoint(folder / "checkpoint", family), folder / "engine" / "model.onnx"
    probes = random_sequences(LENGTHS, pairs=family in TAKES_TYPES)
    probes += random_probes(vocabulary=VOCABULARY, max_tokens=64, count=5)  # as where there is no text
    return Exported(checkpoint, onnx, probes, export_onnx(checkpoint, onnx, probes))
