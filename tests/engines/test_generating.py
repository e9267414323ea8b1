"""What a generating engine promises, on a tiny decoder and a tiny encoder-decoder."""

from __future__ import annotations

import functools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from models.tiny_writers import VOCABULARY, tiny_writer, write_tiny_writer
from penjing.core.errors import CorruptBundleError, InvalidRequestError, NotReadyError, UsageError
from penjing.engines import GenerationOptions, Prompt, open_generator
from penjing.engines.sampling import probabilities
from penjing.export import ctranslate2_worker

KINDS = ["llama", "marian"]
UNEQUAL = [Prompt([5, 6, 7, 8]), Prompt([9]), Prompt([10, 11, 12, 13, 14, 15, 16]), Prompt([17, 18])]


@functools.cache
def file_of(family):
    folder = Path(tempfile.mkdtemp(prefix="penjing-"))
    model = ctranslate2_worker.convert(write_tiny_writer(folder / "in", family), folder / "out", quantization=None)
    (folder / "out" / "generator.json").write_text(ctranslate2_worker.shape_of(model).model_dump_json())
    return folder / "out" / "model.bin"


@functools.cache
def opened(family):
    return open_generator("ctranslate2", file_of(family), instances=2)


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("options", [GenerationOptions(max_tokens=9, logprobs=True), GenerationOptions(9, beams=3)])
def test_an_answer_does_not_depend_on_its_call(family, options):
    together = opened(family).generate(UNEQUAL, options)
    for prompt, found in zip(UNEQUAL, together, strict=True):
        (alone,) = opened(family).generate([prompt], options)
        assert [one.ids for one in alone] == [one.ids for one in found]
        assert alone[0].score == pytest.approx(found[0].score, abs=1e-4)


@pytest.mark.parametrize("family", KINDS)
def test_tokens_are_told_as_they_come_and_an_answer_ends_where_it_is_told_to(family):
    told = {row: [] for row in range(len(UNEQUAL))}

    def listen(row, token):
        told[row].append(token)
        return row == 1 and len(told[row]) == 3

    options = GenerationOptions(max_tokens=8, min_tokens=8, logprobs=True)
    answers = opened(family).generate(UNEQUAL, options, on_token=listen)
    for row, (answer,) in enumerate(answers):
        assert tuple(token.id for token in told[row]) == answer.ids
        assert [token.logprob for token in told[row]] == pytest.approx(answer.logprobs)
    assert [answers[1][0].finish, len(answers[1][0].ids)] == ["stopped", 3]
    assert {answer.finish for row, (answer,) in enumerate(answers) if row != 1} == {"length"}


def test_an_error_of_the_listener_ends_the_call():
    def listen(row, token):
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        opened("llama").generate(UNEQUAL, GenerationOptions(), on_token=listen)


@pytest.mark.parametrize("family", KINDS)
def test_what_ends_an_answer_is_told(family):
    ((whole,),) = opened(family).generate(UNEQUAL[:1], GenerationOptions(max_tokens=12))
    end = whole.ids[4]
    ((ended,),) = opened(family).generate(UNEQUAL[:1], GenerationOptions(max_tokens=12, stop_ids=(end,)))
    assert (ended.ids, ended.finish) == (whole.ids[: whole.ids.index(end)], "stop")
    ((short,),) = opened(family).generate(UNEQUAL[:1], GenerationOptions(max_tokens=3))
    assert (short.ids, short.finish) == (whole.ids[:3], "length")


@pytest.mark.parametrize("family", KINDS)
def test_scores_are_those_of_transformers(family):
    model, engine = tiny_writer(family), opened(family)
    prompt = torch.tensor([[5, 6, 7, 8]])
    for beams in (1, 4):
        options = GenerationOptions(max_tokens=6, beams=beams, hypotheses=beams)
        (answers,) = engine.generate([Prompt(prompt[0].tolist())], options)
        for answer in answers:
            ids = torch.tensor([[*answer.ids, *([2] if answer.finish == "stop" else [])]])
            with torch.no_grad():
                if family == "llama":
                    logits = model(torch.cat([prompt, ids], 1)).logits[0, 3:-1]
                else:
                    begin = torch.full((1, 1), model.config.decoder_start_token_id)
                    logits = model(prompt, decoder_input_ids=torch.cat([begin, ids], 1)).logits[0, :-1, :-1]
            own = logits.log_softmax(-1).gather(1, ids.T)[:, 0]
            assert answer.score == pytest.approx(float(own.mean()), abs=1e-3)


def test_texts_are_scored_token_by_token():
    texts = [[5, 6, 7, 8], [9, 10, 11, 12, 13, 14], [20, 21]]
    for ids, found in zip(texts, opened("llama").score(texts), strict=True):
        with torch.no_grad():
            logs = tiny_writer("llama")(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        np.testing.assert_allclose(found, logs.gather(1, torch.tensor([ids[1:]]).T)[:, 0].numpy(), atol=1e-3)
    (found,) = opened("marian").score([[5, 6]], [[7, 8, 9]])
    assert found.shape == (4,)


@pytest.mark.parametrize("family", KINDS)
def test_a_seed_gives_the_same_draws_whatever_else_runs(family):
    options = GenerationOptions(max_tokens=6, temperature=2.0, seed=7, hypotheses=2, logprobs=True)
    with ThreadPoolExecutor(3) as pool:
        several = list(pool.map(lambda _: opened(family).generate(UNEQUAL, options), range(3)))
    assert several[0] == several[1] == several[2]
    assert several[0][0] == opened(family).generate(UNEQUAL[:1], options)[0]
    other = opened(family).generate(UNEQUAL, GenerationOptions(max_tokens=6, temperature=2.0, seed=8, hypotheses=2))
    assert [one.ids for one in other[0]] != [one.ids for one in several[0][0]]


def test_the_engines_own_draws_have_the_distribution_of_the_reference():
    prompt, options = Prompt([5, 6, 7]), GenerationOptions(max_tokens=1, temperature=1.5, top_k=6, hypotheses=64)
    counts = np.zeros(VOCABULARY)
    for _ in range(24):
        (answers,) = opened("llama").generate([prompt], options)
        for answer in answers:
            counts[answer.ids[0] if answer.ids else 2] += 1
    expected = probabilities(opened("llama").next_logits(prompt, []).astype(np.float64), [], options)
    assert counts[expected == 0].sum() == 0
    np.testing.assert_allclose(counts / counts.sum(), expected, atol=0.05)


def test_top_p_keeps_the_fewest_that_have_the_share():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05]))
    kept = probabilities(logits, [], GenerationOptions(temperature=1.0, top_p=0.7))
    np.testing.assert_allclose(kept, [0.625, 0.375, 0, 0])
    penalised = probabilities(logits, [0], GenerationOptions(temperature=1.0, repetition_penalty=2.0))
    assert penalised[0] < 0.5
    assert probabilities(logits, [], GenerationOptions(temperature=1.0), forbidden=[0])[0] == 0


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize(
    ("prompt", "match"),
    [
        (Prompt([]), "no tokens"),
        (Prompt([5, VOCABULARY]), "is unknown"),
        (Prompt([-1]), "is unknown"),
        (Prompt([5] * 41), "41 tokens"),
        (Prompt([5] * 1_000_000), "1,000,000 tokens"),
    ],
)
def test_a_prompt_that_cannot_be_answered_is_refused(family, prompt, match):
    with pytest.raises(InvalidRequestError, match=match):
        opened(family).generate([UNEQUAL[0], prompt], GenerationOptions())


def test_an_answer_ends_where_the_model_has_no_more_room():
    ((answer,),) = opened("llama").generate([Prompt([5] * 30)], GenerationOptions(max_tokens=100, min_tokens=100))
    assert (len(answer.ids), answer.finish) == (10, "length")
    ((answer,),) = opened("marian").generate([Prompt([5] * 40)], GenerationOptions(max_tokens=100, min_tokens=100))
    assert (len(answer.ids), answer.finish) == (40, "length")


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0}, {"temperature": -1}, {"top_p": 0}, {"top_k": 0}, {"beams": 0}, {"hypotheses": 3},
        {"beams": 2, "temperature": 1.0}, {"min_tokens": 300}, {"repetition_penalty": 0}, {"length_penalty": 1e9},
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidRequestError):
        GenerationOptions(**wrong)


def test_beams_tell_nothing_on_the_way():
    with pytest.raises(InvalidRequestError, match="one beam"):
        opened("llama").generate(UNEQUAL, GenerationOptions(beams=2), on_token=lambda *_: False)


def test_a_closed_engine_says_so():
    engine = open_generator("ctranslate2", file_of("llama"), instances=1)
    engine.close()
    engine.close()
    with pytest.raises(NotReadyError):
        engine.generate(UNEQUAL, GenerationOptions())
    with pytest.raises(NotReadyError):
        engine.score([[1, 2]])


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(CorruptBundleError, match=r"generator\.json"):
        open_generator("ctranslate2", tmp_path / "model.bin", instances=1)
    (tmp_path / "generator.json").write_text('{"kind": "decoder", "vocabulary": 5, "end_ids": [1]}')
    (tmp_path / "model.bin").write_bytes(b"nothing")
    with pytest.raises(CorruptBundleError, match="CTranslate2 cannot open"):
        open_generator("ctranslate2", tmp_path / "model.bin", instances=1)
    with pytest.raises(UsageError, match="one of ctranslate2"):
        open_generator("other", tmp_path / "model.bin", instances=1)


def test_unequal_prompts_told_one_by_one_share_a_call_and_change_nothing(monkeypatch):
    """Each answer ends at its own limit, the model's positions included."""
    engine, calls = opened("llama"), []
    prompts = [*UNEQUAL, Prompt([7] * 35)]
    alone = [engine.generate([prompt], GenerationOptions(max_tokens=12, logprobs=True))[0][0] for prompt in prompts]
    call = engine._call
    monkeypatch.setattr(engine, "_call", lambda *given, **told: calls.append(len(given[1])) or call(*given, **told))
    options = GenerationOptions(max_tokens=12, logprobs=True)
    together = engine.generate(prompts, options, on_token=lambda *_: False)
    single = sum(len(prompt.ids) == 1 for prompt in prompts)
    assert sorted(calls) == sorted(filter(None, [single, len(prompts) - single]))
    assert len({len(prompt.ids) for prompt in prompts}) > 2
    for (one,), other in zip(together, alone, strict=True):
        assert (one.ids, one.finish) == (other.ids, other.finish)
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-4)
    assert len(together[-1][0].ids) == 5
