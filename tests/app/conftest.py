from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.calling import Ran, finetuning, penjing, settings
from app.world import BRIEF, World, make_checkpoint, make_tokenizer, shared_world


@dataclass(frozen=True)
class Made:
    """A store with topics/1, fine-tuned, and topics/2, its int8 form; and how the commands ended.

    Attributes:
        store: read it, do not write to it.
    """

    store: Path
    finetune: Ran
    quantize: Ran


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    return shared_world(tmp_path_factory)


@pytest.fixture(scope="session")
def made(world, tmp_path_factory) -> Made:
    store = tmp_path_factory.mktemp("made") / "store"
    first = penjing(*finetuning(world, store, "--json"))
    assert first.status == 0, first.err
    told = settings(*BRIEF, "quantize.max_drop=0.2", "quantize.engine=onnxruntime")  # alike on every processor
    second = penjing("quantize", "topics/1", "--store", store, "--json", *told)
    assert second.status == 0, second.err
    return Made(store, first, second)


@pytest.fixture
def store(made, tmp_path) -> Path:
    """A copy to write to."""
    return shutil.copytree(made.store, tmp_path / "store")


@pytest.fixture(scope="session")
def knowledge_store(tmp_path_factory) -> Path:
    """A store with an embedding model and a reader."""
    import torch
    import transformers

    from penjing.models.quiet import quiet_transformers

    words = [
        "the rain fell on lisbon last night 球 队 去 年 赢 了 what where when who how long is warranty two years"
    ] * 3
    folder = tmp_path_factory.mktemp("knowledge")
    make_checkpoint(folder / "encoder", words)
    config = transformers.BertConfig.from_pretrained(folder / "encoder")
    torch.manual_seed(1)
    with quiet_transformers():
        transformers.BertForQuestionAnswering(config).save_pretrained(folder / "reader")
    make_tokenizer(words).save_pretrained(folder / "reader")
    for name in ("encoder", "reader"):
        ran = penjing("export", folder / name, "--name", name, "--store", folder / "store")
        assert ran.status == 0, ran.err
    return folder / "store"
