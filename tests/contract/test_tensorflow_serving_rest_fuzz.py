"""Whatever is sent, the answer is one JSON object and never a fault of the server's own."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.inprocess import asking_site
from contract.tensorflow_serving_cases import CASES
from serve.doubles import WORDS

SENT = [case.sent.encode() if isinstance(case.sent, str) else case.sent for case in CASES if case.method == "POST"]
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking_site(tmp_path_factory.mktemp("store")) as ask_site:
        yield lambda body, call="predict": ask_site("POST", f"/v1/models/m:{call}", body)


def check(status, body):
    answer = json.loads(body)
    assert status in (200, 400), body
    assert (list(answer) == ["error"]) == (status == 400)


numbers = st.integers(0, 99) | st.integers() | st.floats() | st.booleans() | st.none()
texts = st.text(max_size=8) | st.sampled_from(WORDS)
leaves = numbers | texts | st.fixed_dictionaries({"b64": texts})
keys = st.sampled_from(["input_ids", "attention_mask", "token_type_ids", "text", "text_pair", "b64", "x"])
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)
documents = st.dictionaries(
    st.sampled_from(["instances", "inputs", "examples", "context", "signature_name"]),
    values | st.lists(st.dictionaries(keys, values, min_size=1), min_size=1, max_size=3),
    max_size=3,
)


@given(document=documents, call=st.sampled_from(["predict", "classify", "regress"]))
@QUICK
def test_any_document(ask, document, call):
    check(*ask(json.dumps(document).encode(), call))


@given(data=st.data(), sent=st.sampled_from(SENT))
@QUICK
def test_any_broken_byte(ask, data, sent):
    at = data.draw(st.integers(0, len(sent)))
    middle = data.draw(st.binary(max_size=3))
    check(*ask(sent[:at] + middle + sent[at + data.draw(st.integers(0, 3)) :]))


@given(sent=st.binary(max_size=30))
@QUICK
def test_any_bytes(ask, sent):
    check(*ask(sent))
