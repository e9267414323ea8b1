"""Whatever is sent to the JSON dialects, the answer has their form and is never a fault of the server's own."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.inprocess import asking_site
from contract.open_inference_cases import CASES as OPEN_INFERENCE
from contract.open_inference_cases import INFER
from contract.tei_cases import BODIES
from serve.doubles import WORDS

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HEADER = b"inference-header-content-length"
SENT = [
    (case.sent if isinstance(case.sent, bytes) else json.dumps(case.sent).encode(), case.headers)
    for case in OPEN_INFERENCE
    if case.target == INFER and "Content-Encoding" not in case.headers and len(str(case.sent)) < 2000
]


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking_site(tmp_path_factory.mktemp("store")) as ask_site:
        yield ask_site


def length_header(value):
    return [(HEADER, str(value).encode())]


def check_inference(status, body):
    assert status in (200, 400, 413, 501), body
    if status == 200 and b'"binary_data_size"' in body:
        return  # with tensors behind it
    answer = json.loads(body)
    assert (list(answer) == ["error"]) == (status != 200)


def check_tei(status, body):
    answer = json.loads(body)
    assert status in (200, 400, 413, 422, 424), body
    if status != 200:
        assert list(answer) == ["error", "error_type"]
        assert answer["error_type"] in ("Validation", "Empty", "Backend")


numbers = st.integers(0, 99) | st.integers() | st.floats() | st.booleans() | st.none()
texts = st.text(max_size=8) | st.sampled_from(WORDS)
leaves = numbers | texts
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3), max_leaves=12
)
sizes = st.integers(0, 4) | st.sampled_from([-1, 2**31, 2**63, 2**64, 1.0, "1", None])
parameters = st.dictionaries(
    st.sampled_from(["binary_data_size", "binary_data", "classification", "binary_data_output", "timeout", "x"]),
    sizes | st.booleans() | values,
    max_size=2,
)
inputs = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["text", "text_pair", "input_ids", "attention_mask", "token_type_ids", "x"]) | values,
        "datatype": st.sampled_from(["BYTES", "INT64", "INT32", "FP32"]) | values,
        "shape": st.lists(sizes, max_size=3) | values,
    },
    optional={"data": values, "parameters": parameters | values},
)
outputs = st.fixed_dictionaries(
    {"name": st.sampled_from(["label", "score", "probabilities", "logits", "x"]) | values},
    optional={"parameters": parameters | values},
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(inputs, max_size=3) | values},
    optional={"outputs": st.lists(outputs, max_size=3) | values, "parameters": parameters | values, "id": values},
)


@given(request=requests, tail=st.binary(max_size=20), shift=st.integers(-3, 3) | st.none())
@QUICK
def test_any_inference(ask, request, tail, shift):
    head = json.dumps(request).encode()
    headers = [] if shift is None else length_header(len(head) + shift)
    check_inference(*ask("POST", INFER, head + tail if shift is not None else head, headers=headers))


@given(
    rows=st.integers(0, 3),
    columns=st.integers(0, 3),
    content=st.binary(max_size=80),
    kind=st.sampled_from(["INT64", "BYTES"]),
)
@QUICK
def test_any_bytes_behind_a_good_head(ask, rows, columns, content, kind):
    name, shape = ("text", [rows]) if kind == "BYTES" else ("input_ids", [rows, columns])
    sent = {"name": name, "shape": shape, "datatype": kind, "parameters": {"binary_data_size": len(content)}}
    head = json.dumps({"inputs": [sent]}).encode()
    check_inference(*ask("POST", INFER, head + content, headers=length_header(len(head))))


@given(lengths=st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 4), max_size=4), content=st.binary(max_size=12))
@QUICK
def test_any_lengths_of_texts(ask, lengths, content):
    body = b"".join(struct.pack("<I", length) + content for length in lengths)
    sent = {"name": "text", "shape": [len(lengths)], "datatype": "BYTES", "parameters": {"binary_data_size": len(body)}}
    head = json.dumps({"inputs": [sent]}).encode()
    check_inference(*ask("POST", INFER, head + body, headers=length_header(len(head))))


@given(data=st.data(), sent=st.sampled_from(SENT))
@QUICK
def test_any_broken_byte_of_an_inference(ask, data, sent):
    body, headers = sent
    at = data.draw(st.integers(0, len(body)))
    body = body[:at] + data.draw(st.binary(max_size=3)) + body[at + data.draw(st.integers(0, 3)) :]
    check_inference(
        *ask("POST", INFER, body, headers=[(name.lower().encode(), value.encode()) for name, value in headers.items()])
    )


tei_documents = st.dictionaries(
    st.sampled_from(
        ["inputs", "truncate", "raw_scores", "truncation_direction", "add_special_tokens", "prompt_name", "texts"]
    ),
    values | texts | st.lists(texts, max_size=3) | st.lists(st.lists(texts, max_size=3), max_size=3),
    max_size=4,
)
calls = st.sampled_from(["/predict", "/tokenize", "/embed", "/rerank", "/similarity"])


@given(document=tei_documents, call=calls)
@QUICK
def test_any_tei_document(ask, document, call):
    check_tei(*ask("POST", call, json.dumps(document).encode()))


@given(data=st.data(), sent=st.sampled_from(BODIES), call=calls)
@QUICK
def test_any_broken_byte_of_a_tei_body(ask, data, sent, call):
    at = data.draw(st.integers(0, len(sent)))
    check_tei(
        *ask("POST", call, sent[:at] + data.draw(st.binary(max_size=3)) + sent[at + data.draw(st.integers(0, 3)) :])
    )


segments = st.lists(
    st.sampled_from(["v1", "v2", "models", "m", "x", "versions", "1", "infer", "ready", "repository", "index", "oip",
                     "tei", "tfs", "kserve", "openai", "predict", "m:predict", "", "%2F", "%ff", "stats"])
    | st.text(st.characters(codec="ascii", exclude_characters="?#"), max_size=4),
    max_size=6,
)  # fmt: skip


@given(segments=segments, method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]))
@QUICK
def test_any_path(ask, segments, method):
    status, _ = ask(method, "/" + "/".join(segments), b"{}")
    assert status < 500 or status == 501
