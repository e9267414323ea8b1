"""GGUF files as checkpoints: the same weights, tokenizer and chat template; what is none is refused."""

from __future__ import annotations

import pytest
import torch
import transformers

from app.decoder_world import byte_tokenizer, make_decoder
from models.tiny_gguf import write_gguf
from penjing.core.errors import CheckpointError
from penjing.core.nouns import Task
from penjing.models.checkpoint import find_checkpoint
from penjing.models.loading import load_model
from penjing.tokens.chat import ChatTemplate


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    make_decoder(tmp_path / "decoder")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "decoder")
    write_gguf(tmp_path / "tiny.gguf", model, byte_tokenizer())
    return tmp_path, model


def test_a_file_opens_as_the_checkpoint_it_was_made_of(world):
    folder, model = world
    checkpoint = find_checkpoint(str(folder / "tiny.gguf"))
    assert (checkpoint.task, checkpoint.max_tokens) == (Task.TEXT_GENERATION, 256)
    opened = load_model(checkpoint, Task.TEXT_GENERATION)
    ids = torch.tensor([byte_tokenizer().encode("hello 你好 the")])
    with torch.no_grad():
        torch.testing.assert_close(opened(ids).logits, model(ids).logits, rtol=0, atol=1e-4)
    words = transformers.AutoTokenizer.from_pretrained(checkpoint.path)
    assert words.encode("hello 你好 the") == ids[0].tolist()
    assert "im_start" in ChatTemplate.beside(checkpoint.tokenizer).render([{"role": "user", "content": "x"}])
    again = find_checkpoint(str(folder / "tiny.gguf"))
    assert (again.path, again.digest) == (checkpoint.path, checkpoint.digest)


def test_a_folder_with_one_file_is_that_file_and_with_two_it_is_refused(world):
    folder, _ = world
    (folder / "alone").mkdir()
    (folder / "tiny.gguf").rename(folder / "alone" / "tiny.gguf")
    assert find_checkpoint(str(folder / "alone")).task is Task.TEXT_GENERATION
    (folder / "alone" / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match="holds 2 GGUF files"):
        find_checkpoint(str(folder / "alone"))


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"GGUF", b"GGUF" + b"\0" * 100])
def test_what_is_no_gguf_file_is_refused(world, content):
    folder, _ = world
    (folder / "bad.gguf").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"no GGUF file|cannot read"):
        find_checkpoint(str(folder / "bad.gguf"))
    assert not list((folder / "cache" / "gguf").glob("*"))
