"""Adapters: trained through the packed forward, and read by plain PEFT as by us."""

from __future__ import annotations

import json

import peft
import pytest
import torch
import transformers

from models.deltas.making import base_of, saved
from models.tiny import random_sequences, tiny_decoder
from penjing.core.errors import CheckpointError, UsageError
from penjing.core.nouns import Task
from penjing.models.checkpoint import copy_tokenizer, find_checkpoint
from penjing.models.decoder import PackedDecoder
from penjing.models.deltas.adapters import Adapters
from penjing.models.deltas.difference import read_base, tensors_of
from penjing.models.deltas.facts import read_delta
from penjing.models.deltas.recipe import AdapterRecipe
from penjing.models.families import FAMILIES
from penjing.models.loading import load_model
from penjing.models.packed import PackedEncoder, PackedTensors, padded_outputs
from penjing.models.quiet import quiet_transformers
from penjing.tokens import pack_flat

LABELS = ["a", "b", "c"]
SEQUENCES = random_sequences([3, 9, 5, 14])
HEADED = (Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING)
OUTPUTS = {Task.QUESTION_ANSWERING: 2}
AUTO = {
    Task.TEXT_CLASSIFICATION: "AutoModelForSequenceClassification",
    Task.TOKEN_CLASSIFICATION: "AutoModelForTokenClassification",
    Task.QUESTION_ANSWERING: "AutoModelForQuestionAnswering",
    Task.FEATURE_EXTRACTION: "AutoModel",
}


def moved(model):
    """As if trained: PEFT begins with a product of zero."""
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.1)


def trained(base, target, recipe, *, task=Task.TEXT_CLASSIFICATION, frozen_layers=0):
    model = load_model(base, task, LABELS[: OUTPUTS.get(task, 3)] if task in HEADED else None)
    adapters = Adapters(model, recipe, frozen_layers=frozen_layers)
    moved(model)
    copy_tokenizer(base.path, target)
    return model, adapters.save(read_base(base), target)


def outputs(model):
    with torch.no_grad():
        return PackedEncoder(model.eval())(PackedTensors.of(pack_flat(SEQUENCES)))


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("method", ["lora", "dora", "ia3"])
def test_what_was_trained_comes_back_from_base_and_delta(tmp_path, monkeypatch, family, method):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    base = base_of(tmp_path / "base", family)
    model, delta = trained(base, tmp_path / "delta", AdapterRecipe(method=method, rank=2))
    whole = load_model(find_checkpoint(str(delta.path)))
    assert torch.allclose(outputs(whole), outputs(model), atol=1e-4)
    assert delta.facts.form == "adapter"
    assert not (delta.path / "README.md").exists()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # within PEFT
@pytest.mark.parametrize("task", list(AUTO))
def test_plain_peft_opens_it(tmp_path, task):
    base = base_of(tmp_path / "base")
    model, delta = trained(base, tmp_path / "delta", AdapterRecipe(rank=2, alpha=3), task=task)
    options = {} if task is Task.FEATURE_EXTRACTION else {"num_labels": OUTPUTS.get(task, 3)}
    with quiet_transformers():
        plain = getattr(transformers, AUTO[task]).from_pretrained(base.path, **options)
        theirs = peft.PeftModel.from_pretrained(plain, delta.path).eval()
        with torch.no_grad():
            said = padded_outputs(theirs, SEQUENCES)
    ours = outputs(model)
    assert torch.allclose(said, ours, atol=1e-4)
    merged = dict(theirs.merge_and_unload().state_dict())
    found = tensors_of(delta, read_base(base).tensors)
    assert all(torch.allclose(found[name], value, atol=1e-6) for name, value in merged.items())


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # within PEFT
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_adapters_of_decoders_come_back_and_plain_peft_agrees(tmp_path, family, tied):
    base = saved(tiny_decoder(family, dtype=torch.float32, tie_word_embeddings=tied), tmp_path / "base")
    model, delta = trained(base, tmp_path / "delta", AdapterRecipe(rank=2), task=Task.TEXT_GENERATION)
    packed = PackedDecoder(model.eval())
    with torch.no_grad():
        ours = packed(PackedTensors.of(pack_flat(SEQUENCES)))
        with quiet_transformers():
            plain = transformers.AutoModelForCausalLM.from_pretrained(base.path)
            theirs = peft.PeftModel.from_pretrained(plain, delta.path).eval()
        assert torch.allclose(padded_outputs(theirs, SEQUENCES), ours, atol=1e-3)
    found = tensors_of(delta, read_base(base).tensors)
    merged = dict(theirs.merge_and_unload().state_dict())
    assert all(torch.allclose(value, merged[name], atol=1e-5) for name, value in found.items())
    assert set(found) == set(read_base(base).tensors), "a head that is tied is not kept twice"
    assert not (delta.path / "delta.safetensors").exists()


def test_gpt2_takes_lora_alone(tmp_path):
    model = tiny_decoder("gpt2", dtype=torch.float32)
    with pytest.raises(UsageError, match="the only one for gpt2"):
        Adapters(model, AdapterRecipe(method="dora"))


def test_frozen_layers_get_no_adapter(tmp_path):
    base = base_of(tmp_path / "base")
    model, delta = trained(base, tmp_path / "delta", AdapterRecipe(targets=("query", "down")), frozen_layers=2)
    touched = {name for name, facts in delta.facts.tensors.items() if facts.how == "lora"}
    assert touched == {
        "bert.encoder.layer.2.attention.self.query.weight",
        "bert.encoder.layer.2.output.dense.weight",
    }
    names = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert all("layer.2" in name or "classifier" in name or "pooler" in name for name in names)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"use_rslora": True}, "use_rslora"), ({"peft_type": "VERA"}, "VERA"), ({"r": 0}, "r and lora_alpha")],
)
def test_settings_that_would_merge_wrongly_are_refused(tmp_path, change, told):
    base = base_of(tmp_path / "base")
    _, delta = trained(base, tmp_path / "delta", AdapterRecipe())
    config = delta.path / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    facts = delta.facts.model_copy(update={"files": {}})
    with pytest.raises(CheckpointError, match=told):
        tensors_of(type(delta)(delta.path, facts), read_base(base).tensors)
    with pytest.raises(CheckpointError, match="not as it was written"):
        read_delta(delta.path)
