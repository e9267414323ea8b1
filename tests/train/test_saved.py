"""What training leaves is an ordinary checkpoint: it opens in plain Transformers and answers the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from app.world import LABELS, labelled_rows
from penjing.core.nouns import Task
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.loading import load_model, save_checkpoint
from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.models.quiet import quiet_transformers
from penjing.tasks import text_classification
from penjing.tokens import TextEncoder, pack_flat
from penjing.train.loop import train
from penjing.train.recipe import TrainingRecipe
from penjing.train.training_set import TrainingSet

TEXTS = ["我们今天看足球比赛", "the rocket is in orbit", "new brake", "饺子"]


@pytest.fixture(scope="module")
def saved(world, tmp_path_factory):
    """The model in memory after a short training, and the directory it was saved to."""
    checkpoint = inspect_checkpoint(world.checkpoint)
    torch.manual_seed(1)
    model = load_model(checkpoint, Task.TEXT_CLASSIFICATION, LABELS)
    rows = labelled_rows(64, seed=3)
    sequences = TextEncoder(checkpoint.tokenizer, max_tokens=24).encode([text for text, _ in rows])
    targets = np.array([LABELS.index(label) for _, label in rows])
    recipe = TrainingRecipe(threads=1, epochs=1, learning_rate=5e-3, dropout=0.3)
    train(PackedEncoder(model), TrainingSet(sequences, targets), text_classification.loss, recipe=recipe, seed=1)
    target = tmp_path_factory.mktemp("saved") / "checkpoint"
    save_checkpoint(model, checkpoint.path, target)
    return model, target


def test_plain_transformers_gives_the_same_logits(saved):
    model, path = saved
    sequences = TextEncoder(path / "tokenizer.json", max_tokens=24).encode(TEXTS)
    with quiet_transformers(), torch.no_grad():
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        plain = transformers.AutoModelForSequenceClassification.from_pretrained(path).eval()
        tokens = tokenizer(TEXTS, padding=True, truncation=True, max_length=24, return_tensors="pt")
        expected = plain(**tokens).logits
        ours = PackedEncoder(model)(PackedTensors.of(pack_flat(sequences)))
    for row, sequence in enumerate(sequences):
        assert tokens["input_ids"][row][: len(sequence)].tolist() == sequence.ids.tolist()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)
    assert plain.config.id2label == dict(enumerate(LABELS))


def test_it_opens_here_again_with_its_own_head(saved):
    model, path = saved
    checkpoint = inspect_checkpoint(path)
    assert checkpoint.parameters == sum(weight.numel() for weight in model.parameters())
    again = load_model(checkpoint)
    for (name, one), other in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), name
    assert not again.training


def test_dropout_of_the_run_does_not_travel(saved, world):
    _, path = saved
    before = inspect_checkpoint(world.checkpoint).config["hidden_dropout_prob"]
    assert inspect_checkpoint(path).config["hidden_dropout_prob"] == before


def test_nothing_but_plain_files_is_there(saved):
    _, path = saved
    names = {file.name for file in path.iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
