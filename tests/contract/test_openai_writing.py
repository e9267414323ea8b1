"""Text through OpenAI's own client: whole and streamed, the same words as Transformers', errors in their form."""

from __future__ import annotations

import json
import threading
import time

import httpx
import openai
import pytest
import torch
import transformers

from contract.writers import make_writers
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store

PROMPTS = ["hello", "你好 the weather in", "abcdefg hijklmnop 🙂 qrs tuv wxyz", "a"]
MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "天气怎么样? 🙂"}]
RECIPE = ServeRecipe(port=0, instances=2, max_queue_tokens=4096, poll_s=None)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_writers(tmp_path_factory.mktemp("writers"), "llama", "gpt2")


@pytest.fixture(scope="module")
def server(store):
    with running_server(StoreCatalogue(Store(store)), RECIPE) as running:
        yield running


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def reference(store):
    """(model name, prompt ids, tokens) → what Transformers writes, as ids."""
    models = {}

    def write(name, ids, count):
        if name not in models:
            path = Store(store).bundle(name, 1).path / "checkpoint"
            models[name] = (transformers.AutoModelForCausalLM.from_pretrained(path), tokenizer(store, name))
        model, words = models[name]
        with torch.no_grad():
            found = model.generate(torch.tensor([ids]), max_new_tokens=count, do_sample=False)[0, len(ids) :]
        return words.decode(found, skip_special_tokens=True)

    return write


def tokenizer(store, name):
    return transformers.AutoTokenizer.from_pretrained(Store(store).bundle(name, 1).path / "checkpoint")


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_greedy_text_is_that_of_transformers(client, store, reference, name):
    words = tokenizer(store, name)
    answer = client.completions.create(model=name, prompt=PROMPTS, temperature=0, max_tokens=20)
    expected = [reference(name, words.encode(prompt), 20) for prompt in PROMPTS]
    assert [choice.text for choice in answer.choices] == expected
    assert len(set(expected)) == len(PROMPTS), "outputs too alike to prove anything"
    assert answer.usage.prompt_tokens == sum(len(words.encode(prompt)) for prompt in PROMPTS)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert (answer.object, answer.id[:5]) == ("text_completion", "cmpl-")
    again = client.completions.create(model=name, prompt=words.encode(PROMPTS[1]), temperature=0, max_tokens=20)
    assert again.choices[0].text == expected[1]


def test_a_chat_is_written_by_the_checkpoints_template(client, store, reference):
    words = tokenizer(store, "llama")
    ids = words.apply_chat_template(MESSAGES, add_generation_prompt=True)["input_ids"]
    expected = reference("llama", ids, 12)
    answer = client.chat.completions.create(
        model="llama", messages=MESSAGES, temperature=0, max_completion_tokens=12, logprobs=True
    )
    choice = answer.choices[0]
    assert choice.message.content == expected
    assert (choice.message.role, choice.finish_reason) == ("assistant", "length")
    assert "".join(one.token for one in choice.logprobs.content) == expected
    assert all(one.logprob <= 0 for one in choice.logprobs.content)
    assert answer.usage.prompt_tokens == len(ids)
    parts = [{"role": "user", "content": [{"type": "text", "text": "天气"}, {"type": "text", "text": "!"}]}]
    assert (
        client.chat.completions.create(model="llama", messages=parts, max_tokens=2).choices[0].message.content
        is not None
    )


def test_a_streamed_chat_is_the_same_text_bit_by_bit(client):
    told = {"model": "llama", "messages": MESSAGES, "temperature": 0, "max_tokens": 24}
    whole = client.chat.completions.create(**told)
    chunks = list(client.chat.completions.create(**told, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks[:-1] if c.choices[0].finish_reason] == ["length"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert not any("\N{REPLACEMENT CHARACTER}" in (c.choices[0].delta.content or "")[:-1] for c in chunks[:-1])


def test_a_streamed_completion_ends_with_done_on_the_wire(server):
    body = {
        "model": "llama",
        "prompt": "hello",
        "max_tokens": 5,
        "temperature": 0,
        "stream": True,
        "echo": True,
        "n": 2,
    }
    with httpx.stream("POST", f"{server.url}/v1/completions", json=body) as reply:
        assert reply.headers["content-type"] == "text/event-stream"
        events = [line for line in reply.iter_lines() if line]
    assert events[-1] == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    texts = dict.fromkeys((0, 1), "")
    for chunk in chunks:
        assert "usage" not in chunk
        (choice,) = chunk["choices"]
        texts[choice["index"]] += choice["text"]
    assert texts[0] == texts[1]
    assert texts[0].startswith("hello")


def test_stop_strings_end_an_answer_and_are_not_told(client):
    whole = client.completions.create(model="llama", prompt="hello", temperature=0, max_tokens=30).choices[0]
    stop = whole.text[6:8]
    for streams in (False, True):
        answer = client.completions.create(
            model="llama", prompt="hello", temperature=0, max_tokens=30, stop=[stop, "never"], stream=streams
        )
        choices = [chunk.choices[0] for chunk in answer] if streams else answer.choices
        assert "".join(choice.text for choice in choices) == whole.text[: whole.text.index(stop)]
        assert choices[-1].finish_reason == "stop"


def test_a_seed_gives_the_same_draw_and_several_answers_differ(client):
    told = {"model": "llama", "prompt": "hello", "max_tokens": 12, "temperature": 1.5, "n": 3}
    first, second = (client.completions.create(**told, seed=7).choices for _ in range(2))
    assert [one.text for one in first] == [one.text for one in second]
    assert len({one.text for one in first}) == 3
    assert len({one.text for one in client.completions.create(**told).choices}) == 3


def test_many_at_once_get_each_their_own(client, store, reference):
    words, errors, found = tokenizer(store, "llama"), [], {}
    prompts = [f"{'the ' * (number % 5)}number {number}" for number in range(24)]

    def ask(number):
        try:
            answer = client.completions.create(model="llama", prompt=prompts[number], temperature=0, max_tokens=40)
            found[number] = answer.choices[0].text
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=ask, args=[number]) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for number in (0, 7, 11, 23):
        assert found[number] == reference("llama", words.encode(prompts[number]), 40)
    assert len(found) == 24


def test_a_client_that_leaves_stops_its_tokens(server):
    lane = server.plane.models.enter("llama").lane
    body = {"model": "llama", "prompt": "hello", "max_tokens": 240, "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/completions", json=body) as reply:
        next(reply.iter_lines())
    until = time.monotonic() + 10
    while lane.queue_tokens and time.monotonic() < until:
        time.sleep(0.01)
    assert lane.queue_tokens == 0
    for version in server.plane.models.all():
        if version.model == "llama":
            version.leave()


BAD = [
    ({"prompt": "x" * 300}, 400, "context_length_exceeded", None),
    ({"prompt": "x", "max_tokens": 300}, 400, "context_length_exceeded", None),
    ({"temperature": 3}, 400, None, "temperature"),
    ({"temperature": "hot"}, 400, None, "temperature"),
    ({"n": 0}, 400, None, "n"),
    ({"n": 129}, 400, None, "n"),
    ({"n": 128, "max_tokens": 200}, 400, None, None),
    ({"max_tokens": 0}, 400, None, "max_tokens"),
    ({"stop": ["a"] * 5}, 400, None, "stop"),
    ({"stop": ""}, 400, None, "stop"),
    ({"prompt": [1, "x"]}, 400, None, "prompt"),
    ({"prompt": [99999]}, 400, None, "prompt"),
    ({"prompt": []}, 400, None, "prompt"),
    ({"prompt": {}}, 400, None, "prompt"),
    ({"logit_bias": {"1": 2}}, 400, "unsupported", None),
    ({"suffix": "x"}, 400, "unsupported", None),
    ({"presence_penalty": 1.0}, 400, "unsupported", None),
    ({"logprobs": 5}, 400, "unsupported", None),
    ({"best_of": 3}, 400, "unsupported", None),
    ({"stream_options": {"include_usage": True}}, 400, None, "stream_options"),
    ({"model": "absent"}, 404, "model_not_found", "model"),
]


@pytest.mark.parametrize(("changes", "status", "code", "param"), BAD, ids=[str(one[0])[:50] for one in BAD])
@pytest.mark.parametrize("streams", [False, True])
def test_what_cannot_be_answered_is_told_in_openais_form(server, changes, status, code, param, streams):
    body = {"model": "llama", "prompt": "hello", "max_tokens": 4, "stream": streams} | changes
    if "stream_options" in changes:
        body["stream"] = False
    reply = httpx.post(f"{server.url}/v1/completions", json=body)
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]


BAD_CHATS = [
    ({"messages": None}, None, "messages"),
    ({"messages": []}, None, "messages"),
    ({"messages": [{"role": "king", "content": "x"}]}, None, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 3}]}, None, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "unsupported", None),
    ({"messages": [{"role": "tool", "content": "x"}]}, "unsupported", None),
    ({"tools": [{"type": "function"}]}, "unsupported", None),
    ({"response_format": {"type": "json_object"}}, "unsupported", None),
    ({"top_logprobs": 3}, None, "top_logprobs"),
]


@pytest.mark.parametrize(("changes", "code", "param"), BAD_CHATS, ids=[str(one[0])[:50] for one in BAD_CHATS])
def test_chats_that_cannot_be_answered(server, changes, code, param):
    reply = httpx.post(
        f"{server.url}/openai/v1/chat/completions", json={"model": "llama", "messages": MESSAGES} | changes
    )
    assert reply.status_code == 400, reply.text
    assert (reply.json()["error"]["code"], reply.json()["error"]["param"]) == (code, param)


def test_no_room_is_refused_at_once_with_when_to_come_back(server):
    body = {"model": "llama", "prompt": "x", "max_tokens": 250, "n": 15}
    replies = []
    threads = [
        threading.Thread(
            target=lambda: replies.append(httpx.post(f"{server.url}/v1/completions", json=body, timeout=60))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [reply for reply in replies if reply.status_code == 429]
    assert len(refused) == 2
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)


def test_a_deadline_ends_an_answer(server):
    body = {"model": "llama", "prompt": "hello", "max_tokens": 240, "n": 8}
    reply = httpx.post(f"{server.url}/v1/completions", json=body, headers={"x-penjing-timeout-ms": "60"})
    assert reply.status_code == 408


def test_other_calls_refuse_a_model_that_writes(server):
    assert httpx.post(f"{server.url}/v1/embeddings", json={"model": "llama", "input": "x"}).status_code == 400
    ids = {"name": "input_ids", "datatype": "INT64", "shape": [1, 2], "data": [3, 4]}
    assert httpx.post(f"{server.url}/v2/models/llama/infer", json={"inputs": [ids]}).status_code in (400, 501)
    tokens = httpx.post(f"{server.url}/tei/llama/tokenize", json={"inputs": "hello"})
    assert tokens.status_code in (200, 404)
