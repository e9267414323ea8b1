"""A language model in a minute: chats in, a measured version, its perplexity again, its int8 form."""

from __future__ import annotations

import json
import random

import pytest
import transformers

import penjing
from app.calling import penjing as command
from app.calling import settings
from app.decoder_world import make_decoder
from penjing.app.exact import ExactRecipe
from penjing.app.generate import SamplingRecipe
from penjing.core.errors import DataError
from penjing.store import Store
from strange import STRANGE

QUICK = (
    "training.threads=1", "training.epochs=6", "training.batch_size=8", "training.learning_rate=5e-3",
    "text.max_tokens=64",
)  # fmt: skip
FOODS = {"tea": "茶", "rice": "米饭", "soup": "汤", "bean": "豆", "egg": "蛋"}


def chats(path, count, *, seed):
    rng, rows = random.Random(seed), []
    for _ in range(count):
        food = rng.choice(sorted(FOODS))
        asked = [{"role": "user", "content": f"{food} {rng.randrange(1000)}"}]
        rows.append({"messages": [*asked, {"role": "assistant", "content": FOODS[food]}]})
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chats")
    make_decoder(folder / "decoder", scale=1.0)
    train, test = chats(folder / "train.jsonl", 240, seed=1), chats(folder / "test.jsonl", 40, seed=2)
    store = folder / "store"
    sources = ["--model", folder / "decoder", "--train", train, "--test", test, "--store", store]
    told = settings(*QUICK, "data.on_leak=report")
    done = command("finetune", "--name", "waiter", "--task", "text-generation", *sources, *told, "--json")
    assert done.status == 0, done.err
    return store, done.json


def test_a_version_says_how_well_it_foresees(made):
    store, told = made
    assert told["metrics"]["perplexity"]["value"] < 1.5
    assert told["metrics"]["export_difference"]["value"] < 2e-3
    manifest = Store(store).bundle("waiter", 1).manifest
    assert (manifest.engine.name, manifest.engine.file) == ("ctranslate2", "engine/model.bin")
    assert "exp of the mean" in Store(store).bundle("waiter", 1).file("report.html").read_text()


def test_evaluation_gives_the_figures_it_carries_and_judges_other_data(made, tmp_path):
    store, told = made
    again = command("evaluate", "waiter/1", "--store", store, "--json")
    assert again.status == 0, again.err
    assert again.json["metrics"]["perplexity"]["value"] == pytest.approx(told["metrics"]["perplexity"]["value"])
    other = tmp_path / "plain.jsonl"
    other.write_text(json.dumps({"text": "米饭 " * 60}) + "\n")
    plain = command("evaluate", "waiter/1", "--store", store, "--data", other, "--json")
    assert plain.status == 0, plain.err
    assert plain.json["metrics"]["perplexity"]["value"] > told["metrics"]["perplexity"]["value"]


def test_answers_are_held_against_the_right_ones(made, tmp_path):
    store, _ = made
    asked = command("evaluate", "waiter/1", "--store", store, "--exact", "--max-tokens", "8", "--json")
    assert asked.status == 0, asked.err
    assert asked.json["metrics"]["exact_match"]["value"] > 0.9
    rows = [{"prompt": "soup 1", "completion": "汤"}, {"prompt": "tea 2", "completion": "米饭"}]
    other = tmp_path / "asked.jsonl"
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = penjing.evaluate("waiter/1", store=store, data=str(other), exact=ExactRecipe(max_tokens=8))
    assert found.judgement.result.metrics["exact_match"].n == 2
    assert "exact_match" in Store(store).ledger.entries(kind="evaluated")[-1].facts["metrics"]


def test_texts_without_an_answer_are_not_compared(made, tmp_path):
    store, _ = made
    plain = tmp_path / "plain.jsonl"
    plain.write_text(json.dumps({"text": "米饭 " * 9}) + "\n")
    ran = command("evaluate", "waiter/1", "--store", store, "--data", plain, "--exact")
    assert (ran.status, "no answer to compare with" in ran.err) == (1, True)
    ran = command("evaluate", "waiter/1", "--store", store, "--data", plain, "--after", "####")
    assert (ran.status, "--exact" in ran.err) == (2, True)


def test_prompts_and_chats_are_answered_without_a_server(made, tmp_path):
    store, _ = made
    asked = ["soup 17", [{"role": "user", "content": "rice 3"}]]
    told = list(penjing.predict("waiter/1", asked, store=store))
    assert [(one.text, one.finish) for one in told] == [("汤", "stop"), ("米饭", "stop")]
    ran = command("predict", "waiter/1", "tea 5", "egg 1", "--store", store, "--sampling", "max_tokens=1")
    assert (ran.status, len(ran.out.splitlines())) == (0, 2)
    rows = tmp_path / "asked.jsonl"
    rows.write_text(json.dumps({"messages": [*asked[1], {"role": "assistant", "content": "?"}]}) + "\n")
    drawn = ["--sampling", "temperature=0.8", "--sampling", "seed=1"]
    for name in ("one.jsonl", "two.jsonl"):
        ran = command("predict", "waiter/1", "--data", rows, "--output", tmp_path / name, "--store", store, *drawn)
        assert ran.status == 0, ran.err
    one, two = ((tmp_path / name).read_text() for name in ("one.jsonl", "two.jsonl"))
    assert one == two
    assert set(json.loads(one)) == {"generated_text", "finish", "tokens"}
    with pytest.raises(DataError, match="prompt 1 has 3"):
        list(penjing.predict("waiter/1", ["x" * 300], store=store))
    assert command("predict", "waiter/1", "x", "--store", store, "--sampling", "heat=1").status == 2


def test_strange_prompts_have_their_answers_or_a_clear_error(made):
    store, _ = made
    short = [text for text in STRANGE if len(text) < 99]
    told = list(penjing.predict("waiter/1", short, store=store, sampling=SamplingRecipe(max_tokens=2)))
    assert len(told) == len(short) == 13
    for text in STRANGE[-3:]:
        with pytest.raises(DataError, match=r"prompt 1 has [\d,]+ tokens"):
            list(penjing.predict("waiter/1", [text], store=store))


def test_transformers_opens_the_checkpoint_with_its_chat_template(made):
    store, _ = made
    path = Store(store).bundle("waiter", 1).path / "checkpoint"
    model = transformers.AutoModelForCausalLM.from_pretrained(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    asked = [{"role": "user", "content": "soup 17"}]
    ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    written = model.generate(**ids, max_new_tokens=8, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert tokenizer.decode(written, skip_special_tokens=True) == "汤"


def test_a_checkpoint_is_published_as_it_came(tmp_path):
    make_decoder(tmp_path / "gpt2", family="gpt2")
    bundle = penjing.export(str(tmp_path / "gpt2"), name="plain", store=tmp_path / "store")
    assert bundle.manifest.task == "text-generation"
    assert bundle.manifest.engine.name == "ctranslate2"
