"""TEI's HTTP API as a table of examples: see :mod:`contract.cases`.

Sources, in huggingface/text-embeddings-inference: SRV is ``router/src/http/server.rs``, TYP
``router/src/http/types.rs``, TOK ``core/src/tokenization.rs``, INF ``core/src/infer.rs``; AXM is what its
web framework does before it; ADD is Penjing's own.
"""

from __future__ import annotations

import json
from typing import Any

from contract.cases import EVEN, Case

RANKED = [{"score": EVEN[label], "label": label} for label in ("good", "fair", "bad")]
EMPTY = {"error": "Input validation error: `inputs` cannot be empty", "error_type": "Empty"}


def ranked(first: float) -> list[dict[str, Any]]:
    """Raw scores, of which the lowest is given."""
    return [{"score": first + more, "label": label} for label, more in (("good", 2.0), ("fair", 1.0), ("bad", 0.0))]


def token(number: int, text: str, begin: int, end: int) -> dict[str, Any]:
    return {"id": number, "text": text, "special": False, "start": begin, "stop": end}


def special(number: int, text: str) -> dict[str, Any]:
    return {"id": number, "text": text, "special": True, "start": None, "stop": None}


def predict(clause: str, name: str, sent: Any, expected: Any, **more: Any) -> Case:
    return Case(clause, name, "POST", "/predict", sent, json=expected, **more)


def refused(clause: str, name: str, sent: Any, status: int, *contains: str, target: str = "/predict") -> Case:
    kind = {400: "Validation", 413: "Validation", 422: "Validation", 424: "Backend", 404: "Validation"}[status]
    return Case(
        clause, name, "POST", target, sent, status, contains=('{"error":"', f'"error_type":"{kind}"}}', *contains)
    )


PREDICT = (
    predict("TYP", "a text", {"inputs": "w1"}, RANKED),
    predict("TYP", "a list of one is that one", {"inputs": ["w1"]}, RANKED),
    predict("TYP", "a list of two is a pair", {"inputs": ["w1", "w2"], "raw_scores": True}, ranked(11.5)),
    predict("TYP", "a batch", {"inputs": [["w1"], ["w1", "w2"]], "raw_scores": True}, [ranked(6.0), ranked(11.5)]),
    predict("TYP", "a batch of one", {"inputs": [["w1"]]}, [RANKED]),
    predict("TYP", "unknown fields", {"inputs": "w1", "foo": 1}, RANKED),
    predict("TYP", "nulls are defaults", {"inputs": "w1", "truncate": None}, RANKED),
    predict("SRV", "half a pair may be empty", {"inputs": ["", "w1"]}, RANKED),
    predict("SRV", "cut where asked", {"inputs": "w1 " * 50, "truncate": True}, RANKED),
    predict("TYP", "from the right", {"inputs": "w1", "truncate": True, "truncation_direction": "Right"}, RANKED),
    predict("ADD", "from the right, in the schema's spelling", {"inputs": "w1", "truncation_direction": "right"},
            RANKED),
    predict("TYP", "from the left, where nothing is cut",
            {"inputs": "w1", "truncate": False, "truncation_direction": "Left"}, RANKED),
    predict("ADD", "text of another script", {"inputs": "今天天气很好"}, RANKED),
    Case("ADD", "the strict prefix", "POST", "/tei/predict", {"inputs": "w1"}, json=RANKED),
    Case("ADD", "a model by query", "POST", "/predict?model=m", {"inputs": "w1"}, json=RANKED),
    Case("ADD", "a version by query", "POST", "/predict?model=m/1", {"inputs": "w1"}, json=RANKED),
    Case("ADD", "an alias by header", "POST", "/predict", {"inputs": "w1"}, json=RANKED,
         headers={"X-Penjing-Model": "m@stable"}),
    Case("ADD", "no content type is needed", "POST", "/predict", {"inputs": "w1"}, json=RANKED,
         headers={"Content-Type": "text/plain"}),
)  # fmt: skip

REFUSED = (
    Case("TOK", "an empty text", "POST", "/predict", {"inputs": ""}, 400, json=EMPTY),
    Case("TOK", "an empty pair", "POST", "/predict", {"inputs": ["", ""]}, 400, json=EMPTY),
    Case("TOK", "an empty text in a batch", "POST", "/predict", {"inputs": [["w1"], [""]]}, 400, json=EMPTY),
    refused("AXM", "an empty body", "", 400, "the body is empty"),
    refused("AXM", "no JSON", "{", 400, "not JSON"),
    refused("AXM", "no object", [1], 400, "the body is [1]"),
    refused("AXM", "no UTF-8", b'{"inputs": "\xff"}', 400, "not UTF-8"),
    refused("TYP", "no inputs", {}, 422, "inputs is absent"),
    refused("TYP", "an empty list", {"inputs": []}, 422, "a string, a pair of strings"),
    refused("TYP", "a number", {"inputs": 5}, 422, "inputs is 5"),
    refused("TYP", "null", {"inputs": None}, 422, "inputs is null"),
    refused("TYP", "three texts", {"inputs": ["a", "b", "c"]}, 422, "a pair of strings"),
    refused("TYP", "three texts in a batch", {"inputs": [["a", "b", "c"]]}, 422, "inputs[0] is"),
    refused("TYP", "a text among lists", {"inputs": [["a"], "b"]}, 422, "inputs[1] is"),
    refused("TYP", "a list among texts", {"inputs": ["a", ["b"]]}, 422, "inputs holds"),
    refused("TYP", "an empty list in a batch", {"inputs": [["a"], []]}, 422, "inputs[1] is []"),
    refused("TYP", "truncate is no truth", {"inputs": "a", "truncate": "yes"}, 422, "truncate is"),
    refused("TYP", "raw_scores is no truth", {"inputs": "a", "raw_scores": 1}, 422, "raw_scores is 1"),
    refused("TYP", "a direction that is none", {"inputs": "a", "truncation_direction": "up"}, 422, "Left or Right"),
    refused("ADD", "cut from the left", {"inputs": "a", "truncate": True, "truncation_direction": "Left"}, 422,
            "Left is not supported"),
    refused("AXM", "half a surrogate pair", {"inputs": "\ud800"}, 422, "half a surrogate pair"),
    refused("TOK", "too long and not to be cut", {"inputs": "w1 " * 50, "truncate": False}, 413,
            "Input validation error: text 0 is over 16 tokens"),
    refused("SRV", "a batch that is too large", {"inputs": [["w1 w2 w3 w4 w5"]] * 11_000}, 413,
            "Input validation error: ", "at most 32768"),
    refused("ADD", "an unknown model", {"inputs": "a"}, 404, "model 'x' is unknown", target="/predict?model=x"),
    refused("ADD", "an unknown version", {"inputs": "a"}, 404, "no version 9", target="/predict?model=m/9"),
    refused("ADD", "a name that is none", {"inputs": "a"}, 422, "model name", target="/predict?model=a%20b"),
    Case("SRV", "the wrong verb", "GET", "/predict", status=405, contains=("expected POST",)),
    Case("SRV", "the wrong verb for info", "POST", "/info", status=405, contains=("expected GET",)),
    Case("SRV", "a path that is none", "GET", "/tei/foo", status=404,
         json={"error": "/tei/foo is not found", "error_type": "Validation"}),
)  # fmt: skip

TOKENS = (
    Case("SRV", "tokens", "POST", "/tokenize", {"inputs": "w1  w2"},
         json=[[special(2, "[CLS]"), token(7, "w1", 0, 2), token(8, "w2", 4, 6), special(3, "[SEP]")]]),
    Case("TYP", "tokens without special ones", "POST", "/tokenize", {"inputs": "w1", "add_special_tokens": False},
         json=[[token(7, "w1", 0, 2)]]),
    Case("TYP", "tokens of a batch", "POST", "/tei/tokenize", {"inputs": ["w1", "w2"], "add_special_tokens": False},
         json=[[token(7, "w1", 0, 2)], [token(8, "w2", 0, 2)]]),
    Case("SRV", "places count characters", "POST", "/tokenize", {"inputs": "你好 w1", "add_special_tokens": False},
         json=[[token(1, "你好", 0, 2), token(7, "w1", 3, 5)]]),
    Case("TOK", "nothing is cut", "POST", "/tokenize", {"inputs": "w1 " * 20, "add_special_tokens": False},
         json=[[token(7, "w1", 3 * number, 3 * number + 2) for number in range(20)]]),
    Case("SRV", "no texts", "POST", "/tokenize", {"inputs": []}, 400, json=EMPTY),
    Case("TOK", "tokens of an empty text", "POST", "/tokenize", {"inputs": ["w1", ""]}, 400, json=EMPTY),
    refused("TYP", "no inputs to tokenize", {}, 422, "inputs is absent", target="/tokenize"),
    refused("TYP", "a number to tokenize", {"inputs": [5]}, 422, "inputs[0] holds 5", target="/tokenize"),
    refused("TYP", "a list to tokenize", {"inputs": [["w1"]]}, 422, "inputs[0] holds", target="/tokenize"),
    refused("TYP", "a prompt", {"inputs": "a", "prompt_name": "query"}, 422, "prompt_name", target="/tokenize"),
    refused("ADD", "more characters than the queue may hold", {"inputs": "w" * 40_000}, 413, "at most 32768",
            target="/tokenize"),
)  # fmt: skip

OTHER_KINDS = (
    *(
        Case("INF", f"{target} of a classifier", "POST", target, {"inputs": "a"}, 424,
             json={"error": f"Backend error: Model is not an embedding model{more}", "error_type": "Backend"})
        for target, more in (("/embed", ""), ("/embed_all", ""), ("/embed_sparse", " with SPLADE pooling"),
                             ("/similarity", ""), ("/tei/embed", ""))
    ),
    Case("SRV", "rerank by a classifier", "POST", "/rerank", {"query": "a", "texts": ["b"]}, 424,
         json={"error": "Backend error: model is not a re-ranker model", "error_type": "Backend"}),
    Case("SRV", "rerank nothing", "POST", "/rerank", {"query": "a", "texts": []}, 400,
         json={"error": "Input validation error: `texts` cannot be empty", "error_type": "Empty"}),
    refused("AXM", "no JSON to embed", "{", 400, "not JSON", target="/embed"),
)  # fmt: skip

SIGNS = tuple(
    Case("SRV", f"{target} while all is well", "GET", target, body=b"")
    for target in ("/health", "/ping", "/tei/health", "/tei/ping")
)

CASES = (*PREDICT, *REFUSED, *TOKENS, *OTHER_KINDS, *SIGNS)
BODIES = [
    case.sent
    if isinstance(case.sent, bytes)
    else case.sent.encode()
    if isinstance(case.sent, str)
    else json.dumps(case.sent).encode()
    for case in CASES
    if case.method == "POST" and len(str(case.sent)) < 1000
]
