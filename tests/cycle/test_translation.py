"""From parallel files to translations: train, judge, quantise, predict, over again from the checkpoint."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

import penjing
from app.parallel_world import QUICK, make_checkpoint, rows, write_files
from penjing.core.errors import DataError, InvalidRequestError, RecipeError, UsageError
from penjing.core.nouns import Translation
from penjing.core.recipe import resolve_recipe
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store

PAIRS = rows(40, seed=77)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A store with a trained model, its int8 form, and where its data lie."""
    folder = tmp_path_factory.mktemp("translation")
    write_files(folder)
    checkpoint, store = make_checkpoint(folder / "checkpoint"), folder / "store"
    flags = {
        "name": "numbers",
        "task": "translation",
        "model": str(checkpoint),
        "data.train": f"{folder}/train.{{en,zh}}",
        "data.test": f"{folder}/test.{{en,zh}}",
    }
    recipe = resolve_recipe(
        penjing.FinetuneRecipe, None, [f"{key}={value}" for key, value in QUICK.items()], flags=flags
    )
    first = penjing.finetune(recipe, store=store)
    told = ["measure.rounds=1", "measure.requests=4", "measure.clients=2", "quantize.max_drop=0.5"]
    command = resolve_recipe(penjing.QuantizeCommand, None, told, flags={"model": first.bundle.reference})
    return folder, store, first, penjing.quantize(command, store=store)


def said(store, model, texts):
    return [one.text for one in penjing.predict(model, texts, store=store)]


def test_what_was_learnt_is_translated(world):
    _, store, first, second = world
    assert first.judgement.result.metrics["bleu"].value > 0.8
    assert "tok:zh" in first.judgement.result.signature
    right = sum(
        one == target for one, (_, target) in zip(said(store, "numbers/1", [a for a, _ in PAIRS]), PAIRS, strict=True)
    )
    assert right > 30
    assert second.comparison.agreement.value > 0.8
    manifest = second.bundle.manifest
    assert (manifest.engine.name, manifest.engine.precision, manifest.translation.beams) == ("ctranslate2", "int8", 2)
    assert manifest.speed["speedup"].value > 0
    assert "engine/model.bin" in manifest.files
    assert "checkpoint/model.safetensors" not in manifest.files


def test_judged_again_it_scores_the_same(world):
    folder, store, first, _ = world
    again = penjing.evaluate("numbers/1", store=store, data=f"{folder}/test.{{en,zh}}")
    assert again.judgement.result.metrics == first.judgement.result.metrics
    assert penjing.evaluate("numbers/1", store=store).judgement.result.metrics == first.judgement.result.metrics


def test_every_text_has_its_translation_or_a_clear_error(world):
    _, store, _, _ = world
    assert said(store, "numbers/1", ["", "  ", "one"])[:2] == ["", "  "]
    assert said(store, "numbers/1", ["one\n\ntwo three\n"]) == ["一\n\n二三\n"]
    strange = ["x", "😀", "مرحبا بالعالم", "你好", "three 😀 four", "\u200f", "<unk> </s> <pad>"]
    assert len(said(store, "numbers/1", strange)) == len(strange)
    long = ". ".join(" ".join(a for a, _ in PAIRS[at : at + 3]) for at in range(0, 30, 3)) + "."
    assert len(said(store, "numbers/1", [long])[0]) > 20
    with pytest.raises(InvalidRequestError, match=r"a sentence of 4,00. tokens.*at most 24"):
        said(store, "numbers/1", ["one " * 4000])
    with pytest.raises(InvalidRequestError, match="a sentence of"):
        said(store, "numbers/1", ["零" * (1 << 20)])


def test_a_translation_does_not_depend_on_its_neighbours(world):
    _, store, _, _ = world
    texts = [a for a, _ in PAIRS]
    assert said(store, "numbers/1", texts) == [said(store, "numbers/1", [text])[0] for text in texts]


def test_it_is_served_in_plain_text_by_each_protocol(world):
    _, store, _, _ = world
    texts = ["one two", "", "two three 😀", "one\nfive"]
    expected = said(store, "numbers/2", texts)
    recipe = ServeRecipe(port=0, models=("numbers",))
    with running_server(StoreCatalogue(Store(store)), recipe) as server, httpx.Client(base_url=server.url) as client:
        reply = client.post("/v1/models/numbers:predict", json={"instances": texts})
        assert reply.json() == {"predictions": expected}, reply.text
        asked = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [4], "data": texts}]}
        reply = client.post("/v2/models/numbers/infer", json=asked)
        assert reply.json()["outputs"] == [
            {"name": "translation_text", "datatype": "BYTES", "shape": [4], "data": expected}
        ], reply.text
        reply = client.post("/kserve/v1/models/numbers:predict", json={"instances": texts})
        assert reply.json() == {"predictions": expected}, reply.text
        reply = client.post("/v1/models/numbers:predict", json={"instances": ["one " * 4000]})
        assert (reply.status_code, "a sentence of" in reply.text) == (400, True), reply.text
        reply = client.post("/v1/models/numbers:predict", json={"instances": [{"input_ids": [1, 2]}]})
        assert reply.status_code == 400, reply.text
        with ThreadPoolExecutor(4) as pool:
            several = list(pool.map(lambda text: ask(client, text), [a for a, _ in PAIRS]))
    assert several == said(store, "numbers/2", [a for a, _ in PAIRS])


def ask(client, text):
    reply = client.post("/v1/models/numbers:predict", json={"instances": [text]})
    assert reply.status_code == 200, reply.text
    return reply.json()["predictions"][0]


def test_a_checkpoint_as_it_is(world):
    _, store, first, _ = world
    trained = first.bundle.path / "checkpoint"
    bundle = penjing.export(str(trained), store=store, name="as-it-is", max_tokens=24)
    assert said(store, bundle.reference, ["two three"]) == said(store, "numbers/1", ["two three"])
    with pytest.raises(UsageError, match="no language codes"):
        penjing.export(str(trained), store=store, name="wrong", translation=Translation(source="en", target="zh"))
    assert Store(store).models() == ["as-it-is", "numbers"]


def test_a_recipe_for_another_task_has_no_languages(world):
    folder, *_ = world
    with pytest.raises(RecipeError, match="translation and scratch are of the task translation"):
        resolve_recipe(
            penjing.FinetuneRecipe,
            None,
            ["translation.source=en"],
            flags={"name": "x", "data.train": f"{folder}/train.en"},
        )


def test_a_model_from_nothing_has_a_tokenizer_of_its_own(world):
    folder, store, *_ = world
    flags = {
        "name": "new", "task": "translation",
        "data.train": f"{folder}/train.{{en,zh}}", "data.test": f"{folder}/test.{{en,zh}}",
        "scratch.vocabulary": "64", "scratch.width": "32", "scratch.layers": "1", "scratch.heads": "2",
    }  # fmt: skip
    told = {**QUICK, "training.epochs": "1", "text.max_tokens": "96"}
    recipe = resolve_recipe(
        penjing.FinetuneRecipe, None, [f"{key}={value}" for key, value in told.items()], flags=flags
    )
    made = penjing.finetune(recipe, store=store)
    assert made.bundle.manifest.metrics["bleu"].n == 30
    assert not list((store / ".runs").iterdir()), "what a run keeps while it lasts is gone"


def test_a_test_text_that_cannot_be_judged_is_told_before_training(world):
    folder, store, *_ = world
    (folder / "long.tsv").write_text(f"source\ttarget\none\t一\n{'two ' * 40}\t二\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"long\.tsv:3: a sentence of 4. tokens"):
        penjing.evaluate("numbers/1", store=store, data=str(folder / "long.tsv"))
