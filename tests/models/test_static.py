"""A static student: its packed forward, its export, and what it begins with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from models.tiny import VOCABULARY, random_sequences, tiny_model
from penjing.app.publishing import export_fp32
from penjing.app.recipes import ExportRecipe
from penjing.core.errors import CheckpointError, UsageError
from penjing.core.progress import SILENT
from penjing.engines import open_engine
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.loading import load_model
from penjing.models.packed import PackedEncoder, PackedTensors, padded_outputs, spans_of
from penjing.models.quiet import quiet_transformers
from penjing.models.static import principal, write_static_checkpoint
from penjing.tokens import pack_flat, pack_sequences


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    folder = tmp_path_factory.mktemp("static")
    teacher = folder / "teacher"
    with quiet_transformers():
        tiny_model("bert", dtype=torch.float32).save_pretrained(teacher)
    words = {f"w{index}": index for index in range(VOCABULARY)}
    Tokenizer(WordLevel(words, unk_token="w0")).save(str(teacher / "tokenizer.json"))
    write_static_checkpoint(
        inspect_checkpoint(teacher), folder / "static", labels=("a", "b", "c"), width=16, seed=0, progress=SILENT
    )
    return folder / "static"


def test_the_packed_forward_and_its_gradient_are_those_of_transformers(static):
    model = load_model(inspect_checkpoint(static)).double()
    sequences = random_sequences([7, 1, 12, 3])
    packed = PackedEncoder(model)(PackedTensors.of(pack_flat(sequences)))
    packed.square().sum().backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    padded = padded_outputs(model, sequences)
    padded.square().sum().backward()
    torch.testing.assert_close(packed, padded, rtol=0, atol=1e-9)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, rtol=0, atol=1e-9)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_its_export_takes_what_every_classifiers_does(static, engine, tmp_path):
    draft = tmp_path / "draft"
    draft.mkdir()
    (draft / "checkpoint").symlink_to(static)
    sequences = random_sequences([5, 11, 2, 16, 9])
    spec, difference = export_fp32(draft, ExportRecipe(engine=engine), probes=sequences)
    assert spec.reads == "first"
    assert difference.value < 1e-5
    opened = open_engine(engine, draft / spec.file, instances=1)
    together = pack_sequences(sequences)
    alone = [opened.run(pack_sequences([one]))[0] for one in sequences]
    np.testing.assert_allclose(together.in_order(opened.run(together)), alone, atol=1e-5)
    opened.close()


def test_it_opens_in_transformers_and_is_known_again(static):
    with quiet_transformers():
        model = transformers.AutoModelForSequenceClassification.from_pretrained(static)
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert len(model.model.layers) == 0


def test_spans_count_the_cells_of_a_sequence_in_its_row():
    segments = torch.tensor([[1, 1, 2, 0], [1, 2, 2, 2]])
    assert spans_of(segments, torch.tensor([0, 2, 4, 5])).tolist() == [2, 1, 1, 3]


def test_principal_components_keep_the_shape_and_one_scale():
    rng = np.random.default_rng(0)
    vectors = torch.from_numpy(rng.normal(size=(200, 3)) @ rng.normal(size=(3, 12))).float() + 5
    reduced = principal(vectors, 3)
    before, after = torch.pdist(vectors), torch.pdist(reduced)
    torch.testing.assert_close(before / before.mean(), after / after.mean(), rtol=1e-4, atol=1e-4)
    assert float(reduced.square().mean().sqrt()) == pytest.approx(0.5, rel=1e-4)


def test_what_is_no_static_student_is_refused(static):
    teacher = inspect_checkpoint(static.parent / "teacher")
    with pytest.raises(UsageError, match="at most 32"):
        write_static_checkpoint(teacher, static.parent / "x", labels=("a",), width=99, seed=0, progress=SILENT)
    config = transformers.AutoConfig.for_model(
        "eurobert", vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        pad_token_id=0,
    )  # fmt: skip
    with pytest.raises(CheckpointError, match="without layers"):
        PackedEncoder(transformers.AutoModelForSequenceClassification.from_config(config))
