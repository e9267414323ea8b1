"""What leaves the export writes what Transformers writes; what does not is refused."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from models.tiny_writers import DECODERS, ENCODER_DECODERS, VOCABULARY, tiny_writer, write_tiny_writer
from penjing.core.errors import ExportError, ParityError
from penjing.engines import Prompt, open_generator
from penjing.export import ctranslate2_worker
from penjing.export.ctranslate2_export import (
    agreement,
    export_ctranslate2,
    prove_same_tokens,
    random_prompts,
    read_prompts,
    write_prompts,
)

PROBES = random_prompts(vocabulary=VOCABULARY - 1, max_tokens=40, count=5)
PREFIXED = [Prompt(prompt.ids, (7 + number,)) for number, prompt in enumerate(PROBES)]


def probes_of(family):
    return PREFIXED if family == "m2m_100" else PROBES


@functools.cache
def converted(family, quantization=None):
    """Converted in this process, which is quicker; the process of its own is tested below."""
    folder = Path(tempfile.mkdtemp(prefix="penjing-"))
    checkpoint, target = write_tiny_writer(folder / "checkpoint", family), folder / "model"
    model = ctranslate2_worker.convert(checkpoint, target, quantization=quantization)
    (target / "generator.json").write_text(ctranslate2_worker.shape_of(model).model_dump_json())
    write_prompts(folder / "prompts.json", probes_of(family))
    return target / "model.bin", ctranslate2_worker.reference(checkpoint, folder / "prompts.json")


@pytest.mark.parametrize("family", [*DECODERS, *ENCODER_DECODERS])
def test_a_family_writes_the_tokens_that_transformers_writes(family):
    file, reference = converted(family)
    engine = open_generator("ctranslate2", file, instances=1)
    assert len({token for one in reference for token in one["ids"]}) > 2, "too dull to show a mistake"
    proof = prove_same_tokens(engine, probes_of(family), reference)
    assert proof.n == len(PROBES)
    assert proof.value < 1e-3


def test_int8_agrees_on_most():
    file, reference = converted("llama", "int8")
    engine = open_generator("ctranslate2", file, instances=1, precision="int8")
    assert agreement(engine, PROBES, reference).n == len(PROBES)


def test_another_models_answers_are_refused():
    file, _ = converted("llama")
    _, other = converted("gpt2")
    with pytest.raises(ParityError, match="answers probe"):
        prove_same_tokens(open_generator("ctranslate2", file, instances=1), PROBES, other)


def test_the_reference_is_what_generate_writes():
    """The plain loop of the proof, against Transformers' own search."""
    _, reference = converted("marian")
    model = tiny_writer("marian")
    for prompt, expected in zip(PROBES, reference, strict=True):
        count = len(expected["ids"])
        ids = model.generate(torch.tensor([prompt.ids]), max_new_tokens=count, num_beams=1, forced_eos_token_id=None)
        assert ids[0, 1:].tolist() == expected["ids"]


def test_a_process_of_its_own_leaves_a_whole_model(tmp_path):
    checkpoint = write_tiny_writer(tmp_path / "checkpoint", "m2m_100")
    probes = PREFIXED[:2]
    reference = export_ctranslate2(checkpoint, tmp_path / "model", probes)
    assert {file.name for file in (tmp_path / "model").iterdir()} >= {"model.bin", "generator.json", "config.json"}
    engine = open_generator("ctranslate2", tmp_path / "model" / "model.bin", instances=1)
    assert prove_same_tokens(engine, probes, reference).value < 1e-3


def test_an_unknown_family_is_refused_by_name(tmp_path):
    from models.tiny import tiny_model

    tiny_model("electra", dtype=torch.float32).save_pretrained(tmp_path / "checkpoint")
    with pytest.raises(ExportError, match="ElectraConfig"):
        ctranslate2_worker.convert(tmp_path / "checkpoint", tmp_path / "model", quantization=None)


def test_a_marian_model_that_pads_elsewhere_is_refused(tmp_path):
    checkpoint = write_tiny_writer(tmp_path / "checkpoint", "marian")
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"pad_token_id": 3}))
    with pytest.raises(ExportError, match="pads with id 3; expected its last id"):
        ctranslate2_worker.convert(checkpoint, tmp_path / "model", quantization=None)


def test_probes_survive_the_file(tmp_path):
    write_prompts(tmp_path / "prompts.json", [Prompt(np.array([1, 2]), (3,))])
    assert read_prompts(tmp_path / "prompts.json") == [Prompt([1, 2], [3])]
