"""Loading a classifier: heads old and new, and no gap that Transformers would fill with random numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from app.decoder_world import make_decoder
from app.world import shared_world
from penjing.core.errors import CheckpointError, ResourceError
from penjing.core.nouns import Task
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.loading import load_model, save_checkpoint

LABELS = ("bad", "fair", "good")


@pytest.fixture
def encoder(tmp_path, tmp_path_factory) -> Path:
    """A fresh copy of a checkpoint without a head."""
    return shutil.copytree(shared_world(tmp_path_factory).checkpoint, tmp_path / "encoder")


@pytest.fixture
def classifier(encoder, tmp_path) -> Path:
    """A checkpoint with a head for LABELS."""
    save_checkpoint(
        load_model(inspect_checkpoint(encoder), Task.TEXT_CLASSIFICATION, LABELS), encoder, tmp_path / "classifier"
    )
    return tmp_path / "classifier"


def config(path, **changes):
    values = json.loads((path / "config.json").read_text()) | changes
    (path / "config.json").write_text(json.dumps(values))


def drop(path, *beginnings):
    weights = load_file(path / "model.safetensors")
    save_file(
        {name: one for name, one in weights.items() if not name.startswith(beginnings)}, path / "model.safetensors"
    )


def load(path, labels=LABELS):
    return load_model(inspect_checkpoint(path), Task.TEXT_CLASSIFICATION if labels else None, labels)


def test_a_new_head_is_random_by_seed_and_the_encoder_is_not(encoder):
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        model = load(encoder)
        heads.append(model.classifier.weight.clone())
        assert model.config.id2label == dict(enumerate(LABELS))
        saved = load_file(encoder / "model.safetensors")["embeddings.word_embeddings.weight"]
        assert torch.equal(model.bert.embeddings.word_embeddings.weight, saved)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_a_head_of_as_many_outputs_is_kept_and_another_is_new(classifier):
    own = load_file(classifier / "model.safetensors")["classifier.weight"]
    assert torch.equal(load(classifier).classifier.weight, own)
    assert torch.equal(load(classifier, labels=None).classifier.weight, own)
    assert load(classifier, ("yes", "no")).classifier.weight.shape[0] == 2


def test_a_missing_pooler_is_new(encoder):
    drop(encoder, "pooler.")
    assert load(encoder).bert.pooler is not None


BAD = {
    "more layers than weights": (
        {"num_hidden_layers": 3},
        r"lack 16 tensors of the shape .*layer\.2.* …; expected all",
    ),
    "wider than its weights": ({"intermediate_size": 96}, r"lack 6 tensors of the shape its config\.json asks for"),
    "a size that does not divide": ({"hidden_size": 33}, r"Transformers cannot open .*33.*config\.json fits"),
    "no heads at all": ({"num_attention_heads": 0}, r"Transformers cannot open .*ZeroDivisionError"),
    "a size that is text": ({"hidden_size": "wide"}, r"Transformers cannot open"),
    "an unknown activation": ({"hidden_act": "none such"}, r"Transformers cannot open .*none such"),
    "padding outside the table": ({"pad_token_id": 9999}, r"Transformers cannot open .*[Pp]adding"),
    "another family": (
        {"model_type": "modernbert"},
        r"model type 'modernbert'; expected one of bert, .*Choose",
    ),
    "no family at all": ({"model_type": "none-such"}, r"model type 'none-such'; expected one of bert"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_config_that_does_not_fit_the_weights_is_refused(encoder, case):
    changes, message = BAD[case]
    config(encoder, **changes)
    with pytest.raises(CheckpointError, match=message):
        load(encoder)


def test_weights_that_lack_a_part_are_refused(encoder):
    drop(encoder, "encoder.layer.1.attention.self.query", "embeddings.LayerNorm.weight")
    with pytest.raises(CheckpointError, match=r"lack 3 tensors.*bert\.embeddings\.LayerNorm\.weight"):
        load(encoder)


def test_a_header_that_lies_about_a_shape_is_refused(encoder):
    file = encoder / "model.safetensors"
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    entries["embeddings.word_embeddings.weight"]["shape"][0] += 7
    raw = json.dumps(entries).encode()
    file.write_bytes(len(raw).to_bytes(8, "little") + raw + content[8 + length :])
    with pytest.raises(CheckpointError, match=r"Transformers cannot open .*SafetensorError"):
        load(encoder)


def test_a_classifier_without_its_head_is_refused_where_no_new_one_is_wanted(classifier):
    drop(classifier, "classifier.")
    assert load(classifier).classifier.weight.shape[0] == 3
    with pytest.raises(
        CheckpointError, match=r"lack 2 tensors.*classifier\.bias.*expected all of a bert with its head"
    ):
        load(classifier, labels=None)


def test_code_that_travels_with_a_checkpoint_is_not_run(encoder):
    (encoder / "modeling.py").write_text("raise SystemExit('code of a checkpoint was run')")
    config(encoder, auto_map={"AutoModelForSequenceClassification": "modeling.Model", "AutoConfig": "modeling.Config"})
    assert type(load(encoder)).__module__.startswith("transformers.")


def test_a_disk_that_refuses_the_weights_is_told(encoder, tmp_path, monkeypatch):
    from safetensors import SafetensorError

    model = load(encoder)

    def full(*args, **options):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(type(model), "save_pretrained", full)
    with pytest.raises(ResourceError, match=r"writing .*target failed: .*No space left.*expected a writable disk"):
        save_checkpoint(model, encoder, tmp_path / "target")


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_language_model_is_loaded_whole_and_saved_with_its_chat_template(family, tmp_path):
    checkpoint = inspect_checkpoint(make_decoder(tmp_path / "decoder", family=family))
    assert (checkpoint.task, checkpoint.max_tokens) == (Task.TEXT_GENERATION, 256)
    model = load_model(checkpoint, Task.TEXT_GENERATION)
    save_checkpoint(model, checkpoint.path, tmp_path / "saved")
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert "im_start" in again.chat_template
    assert inspect_checkpoint(tmp_path / "saved").parameters == checkpoint.parameters


def test_a_language_model_without_its_vocabulary_head_is_refused(tmp_path):
    path = make_decoder(tmp_path / "decoder")
    drop(path, "lm_head")
    with pytest.raises(CheckpointError, match=r"lack 1 tensors.*lm_head"):
        load_model(inspect_checkpoint(path), Task.TEXT_GENERATION)


def test_a_language_model_of_an_unknown_family_is_refused(tmp_path):
    path = make_decoder(tmp_path / "decoder")
    config(path, model_type="bloom")
    with pytest.raises(CheckpointError, match=r"'bloom'.*expected one of gemma"):
        load_model(inspect_checkpoint(path), Task.TEXT_GENERATION)
