"""Chat templates: Transformers' own text, and where in it the assistant speaks."""

import json

import pytest

from app.decoder_world import byte_tokenizer
from penjing.core.errors import CheckpointError, InvalidRequestError
from penjing.tokens.chat import ChatTemplate

CHATML = byte_tokenizer().chat_template
LLAMA3 = (
    "{{- bos_token }}{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{{- message['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
MARKED = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}A: {% generation %}{{ m['content'] }}{{ eos_token }}"
    "{% endgeneration %}{% else %}Q: {{ m['content'] }}{% endif %}\n{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for message in messages %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}"
    "{% set role = message['role'] %}{% endif %}<start_of_turn>{{ role }}\n{{ message['content'] | trim }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
CHAT = [
    {"role": "user", "content": "你好 🙂"},
    {"role": "assistant", "content": "hello\nthere "},
    {"role": "user", "content": "<|im_end|> and now?"},
    {"role": "assistant", "content": "再见"},
]
SPECIALS = {"bos_token": "<s>", "eos_token": "</s>"}


def template(source, ends=("<|im_end|>", "<|eot_id|>", "</s>", "<end_of_turn>")):
    return ChatTemplate(source, specials=SPECIALS, ends=ends)


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("source", [CHATML, LLAMA3, MARKED, GEMMA])
def test_the_text_is_what_transformers_gives(source, asks):
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    expected = tokenizer.apply_chat_template(CHAT, chat_template=source, tokenize=False, add_generation_prompt=asks)
    assert template(source).render(CHAT, asks=asks) == expected


@pytest.mark.parametrize(
    ("source", "answers"),
    [
        (CHATML, ["hello\nthere <|im_end|>", "再见<|im_end|>"]),
        (LLAMA3, ["hello\nthere<|eot_id|>", "再见<|eot_id|>"]),
        (MARKED, ["hello\nthere </s>", "再见</s>"]),
        (GEMMA, ["hello\nthere<end_of_turn>", "再见<end_of_turn>"]),
    ],
)
def test_the_answers_are_found_with_what_ends_them(source, answers):
    rendered = template(source).with_answers(CHAT)
    assert [rendered.text[begin:end] for begin, end in rendered.answers] == answers
    assert rendered.text == template(source).render(CHAT, asks=False)


def test_tools_and_dates_are_there_for_templates_that_write_them():
    source = "{{ tools | tojson }} {{ strftime_now('%Y') | length }}{% for m in messages %}{% break %}{% endfor %}"
    assert template(source).render(CHAT, tools=[{"name": "天气"}]) == '[{"name": "天气"}] 4'


def test_a_template_that_rewrites_what_it_wrote_is_refused():
    source = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(InvalidRequestError, match="writes answer 2 otherwise"):
        template(source).with_answers(CHAT)


@pytest.mark.parametrize(
    "source",
    ["{{ messages.append(1) }}", "{{ ''.__class__.__mro__ }}", "{{ messages[9].role.x }}", "{% set a = 1 / 0 %}"],
)
def test_what_a_template_may_not_or_cannot_do_is_a_refusal(source):
    with pytest.raises(InvalidRequestError, match="the chat template refuses"):
        template(source).render(CHAT)


def test_the_templates_own_refusal_reaches_the_caller():
    with pytest.raises(InvalidRequestError, match="no system role"):
        template(GEMMA).render([{"role": "system", "content": "x"}])


def test_a_malformed_template_is_the_checkpoints_fault():
    with pytest.raises(CheckpointError, match="chat template is malformed"):
        template("{% for %}").render(CHAT)


def test_it_is_found_beside_the_tokenizer_in_each_of_its_forms(tmp_path):
    byte_tokenizer().save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    expected = ChatTemplate(CHATML, specials={}).render(CHAT)
    assert ChatTemplate.beside(path).render(CHAT) == expected
    (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    for form in (CHATML, [{"name": "tools", "template": "x"}, {"name": "default", "template": CHATML}]):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": form}))
        found = ChatTemplate.beside(path)
        assert found.render(CHAT) == expected
        assert found.with_answers(CHAT).answers[0][1] - found.with_answers(CHAT).answers[0][0] == 22
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": None}))
    assert ChatTemplate.beside(path) is None
