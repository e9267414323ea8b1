"""Texts, prompts with completions, and conversations."""

import json

import pytest

from penjing.core.errors import DataError
from penjing.core.nouns import Task
from penjing.data import DataRecipe, load_splits, read_texts

TURNS = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "hello 🙂"}]


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return str(path)


def load(path, rows, **told):
    source = write(path, rows)
    return load_splits(DataRecipe(train=source, test=source, on_leak="report", **told), Task.TEXT_GENERATION)


def test_conversations_in_both_usual_forms(tmp_path):
    other = {"conversations": [{"from": "human", "value": "你好"}, {"from": "gpt", "value": "hello 🙂"}]}
    for number, row in enumerate(({"messages": TURNS}, other, {"messages": json.dumps(TURNS)})):
        (example,) = load(tmp_path / f"{number}.jsonl", [row]).train.examples
        assert example.messages == (("user", "你好"), ("assistant", "hello 🙂"))
        assert (example.text, example.prompt) == ("", None)


def test_prompts_with_completions_and_plain_texts(tmp_path):
    (example,) = load(tmp_path / "a.jsonl", [{"instruction": "add", "output": "2"}]).train.examples
    assert (example.prompt, example.text) == ("add", "2")
    (example,) = load(tmp_path / "b.jsonl", [{"q": "add", "a": "2"}], prompt="q", completion="a").train.examples
    assert (example.prompt, example.text) == ("add", "2")
    (example,) = load(tmp_path / "c.jsonl", [{"text": "天"}]).train.examples
    assert (example.prompt, example.text) == (None, "天")


def test_a_prompt_without_a_completion_asks_for_that(tmp_path):
    with pytest.raises(DataError, match=r"no column that looks like the completion.*Set completion:"):
        load(tmp_path / "a.jsonl", [{"prompt": "add", "reply": "2"}])
    (example,) = load(tmp_path / "b.jsonl", [{"prompt": "add", "text": "2"}]).train.examples
    assert (example.prompt, example.text) == (None, "2")


def test_rows_that_teach_nothing_are_refused_or_left_out_and_counted(tmp_path):
    rows = [{"messages": TURNS}, {"messages": TURNS[:1]}, {"messages": []}]
    with pytest.raises(DataError, match="1 row without a label"):
        load(tmp_path / "a.jsonl", rows)
    data = load(tmp_path / "b.jsonl", rows, on_unlabelled="drop")
    assert data.train.rows == 1
    assert (data.report.splits[0].blank_dropped, data.report.splits[0].unlabelled_dropped) == (1, 1)


@pytest.mark.parametrize(
    "bad", ["text", {"role": "user"}, [{"role": "king", "content": "x"}], [{"role": "user", "content": 3}], "[1", [7]]
)
def test_malformed_turns_are_refused_with_their_place(tmp_path, bad):
    with pytest.raises(DataError, match=r"a\.jsonl:2.*expected turns such as"):
        load(tmp_path / "a.jsonl", [{"messages": TURNS}, {"messages": bad}])


def test_for_prediction_the_answers_are_left_out(tmp_path):
    source = write(tmp_path / "a.jsonl", [{"messages": [*TURNS, *TURNS]}])
    (asked,) = read_texts(source, task=Task.TEXT_GENERATION)
    assert asked.messages == (("user", "你好"), ("assistant", "hello 🙂"), ("user", "你好"))
    (asked,) = read_texts(write(tmp_path / "b.jsonl", [{"prompt": "p", "completion": "c"}]), task=Task.TEXT_GENERATION)
    assert (asked.prompt, asked.text) == ("p", "")
    (asked,) = read_texts(write(tmp_path / "c.jsonl", [{"text": "p"}]), task=Task.TEXT_GENERATION)
    assert asked.prompt == "p"
