"""sentence-transformers' files: what they say, what is refused by name, and that what is written reads back."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from app.world import shared_world
from penjing.core.errors import CheckpointError
from penjing.core.nouns import Embedding, Task
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.loading import load_model
from penjing.models.pooling import pooling_files, read_embedding, read_longest, write_embedding

MODULE = "sentence_transformers.models."
THREE = ("Transformer", "Pooling", "Normalize")


@pytest.fixture
def checkpoint(tmp_path, tmp_path_factory):
    return shutil.copytree(shared_world(tmp_path_factory).checkpoint, tmp_path / "checkpoint")


def say(path, kinds=THREE, mode=None, **files):
    """Write the files as some release of sentence-transformers does."""
    modules = [
        {"idx": at, "path": f"{at}_{kind}" if at else "", "type": MODULE + kind} for at, kind in enumerate(kinds)
    ]
    (path / "1_Pooling").mkdir(exist_ok=True)
    (path / "1_Pooling/config.json").write_text(json.dumps(mode or {"pooling_mode_mean_tokens": True}))
    (path / "modules.json").write_text(json.dumps(modules))
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_what_is_written_reads_back(tmp_path, pooling, normalised):
    said = Embedding(pooling=pooling, normalised=normalised, size=32)
    write_embedding(tmp_path, said, longest=24)
    assert read_embedding(tmp_path, size=32) == said
    assert read_longest(tmp_path) == 24
    assert len(pooling_files(tmp_path)) == 3


def test_a_bare_encoder_pools_by_the_mean_and_normalises(checkpoint):
    found = inspect_checkpoint(checkpoint)
    assert found.task is Task.FEATURE_EXTRACTION
    assert found.embedding == Embedding(pooling="mean", normalised=True, size=32)
    assert read_longest(checkpoint) is None


@pytest.mark.parametrize(("said", "longest"), [(24, 24), (512.0, 512), (int(1e30), None), (None, None)])
def test_the_limit_may_stand_in_the_tokenizers_settings(checkpoint, said, longest):
    file = checkpoint / "tokenizer_config.json"
    file.write_text(json.dumps({"model_max_length": said}))
    assert read_longest(checkpoint) == longest
    file.write_text(json.dumps({"model_max_length": "long"}))
    with pytest.raises(CheckpointError, match="has model_max_length 'long'; expected a whole number"):
        read_longest(checkpoint)


@pytest.mark.parametrize(
    ("mode", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "include_prompt": True}, "first"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "cls"}, "first"),
        ({"pooling_mode": "mean", "embedding_dimension": 32}, "mean"),
        ({"pooling_mode": ["mean"]}, "mean"),
    ],
)
def test_modes_of_every_release_are_read(checkpoint, mode, pooling):
    say(checkpoint, mode=mode)
    assert inspect_checkpoint(checkpoint).embedding.pooling == pooling


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"kinds": ("Transformer", "Pooling", "Dense")}, "has a part of type 'Dense'; expected Transformer"),
        ({"kinds": ("Transformer",)}, "lists Transformer; expected Transformer, Pooling"),
        ({"mode": {"pooling_mode_max_tokens": True}}, "pools by max_tokens; expected mean_tokens or cls_token"),
        ({"mode": {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}}, "pools by mean_tokens and cls"),
        ({"mode": {"pooling_mode_lasttoken": True}}, "pools by lasttoken"),
        ({"mode": {"pooling_mode": ["cls", "max"]}}, "pools by cls and max"),
        ({"mode": {"pooling_mode": {"cls": 1}}}, "pools by {'cls': 1}"),
        ({"mode": {"none": 1}}, "pools by nothing"),
        ({"mode": [1]}, "is not a JSON object"),
        ({"sentence_bert_config": {"do_lower_case": True}}, "sets do_lower_case"),
        ({"config_sentence_transformers": {"default_prompt_name": "query"}}, "puts the prompt 'query' before"),
    ],
)
def test_what_is_not_done_here_is_refused_by_its_name(checkpoint, told, said):
    say(checkpoint, **told)
    found = inspect_checkpoint(checkpoint)  # fine as a checkpoint: it can be fine-tuned for other tasks
    with pytest.raises(CheckpointError) as error:
        assert found.embedding
    assert said in str(error.value)


@pytest.mark.parametrize("path", ["../1_Pooling", "/1_Pooling", "..", ""])
def test_nothing_outside_the_checkpoint_is_read(checkpoint, path):
    say(checkpoint)
    modules = json.loads((checkpoint / "modules.json").read_text())
    modules[1]["path"] = path
    (checkpoint / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match="expected a folder beside it"):
        assert inspect_checkpoint(checkpoint).embedding


@pytest.mark.parametrize("content", ["{", "{}", "[1]"])
def test_a_malformed_list_is_told(checkpoint, content):
    (checkpoint / "modules.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"modules\.json"):
        assert inspect_checkpoint(checkpoint).embedding


def test_the_digest_covers_how_texts_are_pooled(checkpoint):
    before = inspect_checkpoint(checkpoint).digest
    say(checkpoint)
    between = inspect_checkpoint(checkpoint).digest
    say(checkpoint, kinds=THREE[:2])
    assert len({before, between, inspect_checkpoint(checkpoint).digest}) == 3


def test_an_encoder_under_a_pretraining_head_is_one_where_the_files_say_so(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text()) | {"architectures": ["BertForMaskedLM"]}
    (checkpoint / "config.json").write_text(json.dumps(config))
    assert inspect_checkpoint(checkpoint).task is Task.FILL_MASK
    say(checkpoint)
    found = inspect_checkpoint(checkpoint)
    assert found.task is Task.FEATURE_EXTRACTION
    assert isinstance(load_model(found), transformers.BertModel)


def test_an_encoder_may_lack_its_pooler_and_nothing_else(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    few = {name: weight for name, weight in weights.items() if not name.startswith("pooler.")}
    save_file(few, checkpoint / "model.safetensors", {"format": "pt"})
    torch.manual_seed(0)
    load_model(inspect_checkpoint(checkpoint))
    few.pop("encoder.layer.0.output.dense.weight")
    save_file(few, checkpoint / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="lack 1 tensors"):
        load_model(inspect_checkpoint(checkpoint))
