"""The embedding calls of TEI and OpenAI as a table of examples: see :mod:`contract.cases`.

The table assumes an embedding model ``e`` of four dimensions, which are half the sum of the ids plus 0, 1, 2,
3, normalised; else as there. OAI is openai/openai-openapi and its API's own messages; the others as in
:mod:`contract.tei_cases`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from contract.cases import Case
from serve.doubles import halves

NOTHING = {"error": "Input validation error: `inputs` cannot be empty", "error_type": "Empty"}


def pooled(*ids: int) -> list[float]:
    return halves([list(ids)], 4)[0]


def unit(vector: list[float]) -> list[float]:
    return (np.array(vector) / np.linalg.norm(vector)).tolist()


W1, W2 = pooled(2, 7, 3), pooled(2, 8, 3)
LONG = pooled(2, *[7] * 14, 3)


def embed(clause: str, name: str, sent: Any, expected: Any, **more: Any) -> Case:
    return Case(clause, name, "POST", more.pop("target", "/embed"), sent, json=expected, **more)


def refused(clause: str, name: str, sent: Any, status: int, *contains: str, target: str = "/embed") -> Case:
    kind = {400: "Empty", 413: "Validation", 422: "Validation", 424: "Backend"}[status]
    return Case(
        clause, name, "POST", target, sent, status, contains=('{"error":"', f'"error_type":"{kind}"}}', *contains)
    )


EMBED = (
    embed("TYP", "a text", {"inputs": "w1"}, [unit(W1)]),
    embed("TYP", "texts", {"inputs": ["w1", "w2"]}, [unit(W1), unit(W2)]),
    embed("TYP", "two texts are no pair", {"inputs": ["w1", "w1"]}, [unit(W1), unit(W1)]),
    embed("TYP", "token ids", {"inputs": [2, 7, 3]}, [unit(W1)]),
    embed("TYP", "lists of token ids", {"inputs": [[2, 7, 3], [2, 8, 3]]}, [unit(W1), unit(W2)]),
    embed("TYP", "as it comes", {"inputs": "w1", "normalize": False}, [W1]),
    embed("TYP", "nulls are defaults", {"inputs": "w1", "normalize": None, "dimensions": None, "truncate": None},
          [unit(W1)]),
    embed("INF", "the first dimensions, of length one again", {"inputs": "w1", "dimensions": 2}, [unit(W1[:2])]),
    embed("INF", "the first dimensions as they come", {"inputs": "w1", "dimensions": 2, "normalize": False}, [W1[:2]]),
    embed("SRV", "cut where asked", {"inputs": "w1 " * 50, "truncate": True, "normalize": False}, [LONG]),
    embed("ADD", "the strict prefix", {"inputs": "w1"}, [unit(W1)], target="/tei/embed"),
    embed("ADD", "a model by query", {"inputs": "w1"}, [unit(W1)], target="/embed?model=e/1"),
    embed("TYP", "every token", {"inputs": ["w1", "w1 w2"]},
          [[pooled(number) for number in ids] for ids in ([2, 7, 3], [2, 7, 8, 3])], target="/embed_all"),
    embed("TYP", "every token of one", {"inputs": "w1"}, [[pooled(2), pooled(7), pooled(3)]], target="/embed_all"),
    embed("SRV", "cosines", {"inputs": {"source_sentence": "w1", "sentences": ["w1", "w2"]}},
          [1.0, float(np.dot(unit(W1), unit(W2)))], target="/similarity"),
    embed("SRV", "cosines with parameters",
          {"inputs": {"source_sentence": "w1", "sentences": ["w1"]}, "parameters": {"truncate": True}}, [1.0],
          target="/similarity"),
)  # fmt: skip

ERRORS = (
    Case("SRV", "no text", "POST", "/embed", {"inputs": []}, 400, json=NOTHING),
    Case("TOK", "an empty text", "POST", "/embed", {"inputs": ""}, 400, json=NOTHING),
    Case("TOK", "an empty text among others", "POST", "/embed", {"inputs": ["w1", ""]}, 400, json=NOTHING),
    Case("TOK", "no token ids", "POST", "/embed", {"inputs": [[]]}, 400, json=NOTHING),
    refused("TYP", "no inputs", {}, 422, "inputs"),
    refused("TYP", "a number", {"inputs": 5}, 422, "inputs holds 5"),
    refused("TYP", "an object", {"inputs": {"a": 1}}, 422),
    refused("TYP", "texts and ids", {"inputs": ["w1", [2, 3]]}, 422, "inputs holds"),
    refused("TYP", "ids and texts", {"inputs": [2, "w1"]}, 422, "inputs holds"),
    refused("TYP", "halves of ids", {"inputs": [2.5, 3]}, 422),
    refused("TYP", "truths for ids", {"inputs": [True, False]}, 422),
    refused("TYP", "lists too deep", {"inputs": [[[2, 3]]]}, 422),
    refused("TYP", "negative ids", {"inputs": [2, -7]}, 422, "the token id -7"),
    refused("TYP", "huge ids", {"inputs": [2, 10**30]}, 422),
    refused("ADD", "ids that the model has not", {"inputs": [2, 100]}, 413, "token id 100"),
    refused("TYP", "normalize is a word", {"inputs": "w1", "normalize": "no"}, 422, "normalize"),
    refused("INF", "no dimension", {"inputs": "w1", "dimensions": 0}, 422, "dimensions is 0; expected 1 to 4"),
    refused("INF", "too many dimensions", {"inputs": "w1", "dimensions": 5}, 422, "dimensions is 5"),
    refused("TYP", "half a dimension", {"inputs": "w1", "dimensions": 1.5}, 422, "dimensions"),
    refused("TOK", "too long where nothing is to be cut", {"inputs": "w1 " * 50, "truncate": False}, 413, "over 16"),
    refused("TYP", "an unknown prompt", {"inputs": "w1", "prompt_name": "query"}, 422, "prompt_name"),
    refused("TYP", "half a character", '{"inputs": "\\ud800"}', 422, target="/embed"),
    refused("SRV", "no sentences", {"inputs": {"source_sentence": "w1", "sentences": []}}, 400,
            "`inputs.sentences` cannot be empty", target="/similarity"),
    refused("SRV", "an empty sentence", {"inputs": {"source_sentence": "", "sentences": ["w1"]}}, 400,
            target="/similarity"),
    refused("TYP", "sentences that are none", {"inputs": {"source_sentence": "w1", "sentences": [7]}}, 422,
            target="/similarity"),
    refused("TYP", "no source", {"inputs": {"sentences": ["w1"]}}, 422, "source_sentence", target="/similarity"),
    refused("SRV", "no classifier", {"inputs": "w1"}, 424, "Model is not a classifier model", target="/predict"),
    refused("SRV", "no re-ranker", {"query": "w1", "texts": ["w2"]}, 424, target="/rerank"),
    refused("SRV", "not sparse", {"inputs": "w1"}, 424, "SPLADE", target="/embed_sparse"),
)  # fmt: skip


def created(sent: Any, vectors: list[Any], tokens: int, name: str, **more: Any) -> Case:
    data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    expected = {"object": "list", "data": data, "model": sent["model"], "usage": usage}
    return Case("OAI", name, "POST", more.pop("target", "/v1/embeddings"), sent, json=expected)


def openai_refused(name: str, sent: Any, message: str, status: int = 400, **more: Any) -> Case:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None} | more
    return Case("OAI", name, "POST", "/v1/embeddings", sent, status, json={"error": error})


FORMS = "a string, a list of strings, a list of token ids or a list of such lists."
OPENAI = (
    created({"model": "e", "input": "w1"}, [unit(W1)], 3, "of a text"),
    created({"model": "e", "input": ["w1", "w1 w2"]}, [unit(W1), unit(pooled(2, 7, 8, 3))], 7, "of texts"),
    created({"model": "e", "input": [2, 7, 3]}, [unit(W1)], 3, "of token ids"),
    created({"model": "e", "input": [[2, 7, 3], [2, 8, 3]]}, [unit(W1), unit(W2)], 6, "of lists of token ids"),
    created({"model": "e", "input": "w1", "dimensions": 2, "user": "u"}, [unit(W1[:2])], 3, "of fewer dimensions"),
    created({"model": "e/1", "input": "w1"}, [unit(W1)], 3, "of a version"),
    created({"model": "e", "input": "w1"}, [unit(W1)], 3, "under the prefix", target="/openai/v1/embeddings"),
    openai_refused("no model", {"input": "w1"}, "you must provide a model parameter"),
    openai_refused("no input", {"model": "e"}, "Missing required parameter: 'input'.", param="input"),
    openai_refused("an empty input", {"model": "e", "input": ""}, "`input` cannot be empty"),
    openai_refused("an empty list", {"model": "e", "input": []}, "`input` cannot be empty"),
    openai_refused("a number", {"model": "e", "input": 7}, f"input holds 7; expected {FORMS}", param="input"),
    openai_refused("mixed inputs", {"model": "e", "input": ["w1", [2]]}, f"input holds \"w1\"; expected {FORMS}",
                   param="input"),
    openai_refused("too many inputs", {"model": "e", "input": ["w1"] * 2049},
                   "Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array "
                   "with length 2049 instead.", param="input"),
    openai_refused("an unknown format", {"model": "e", "input": "w1", "encoding_format": "int8"},
                   "Invalid value: 'int8'. Supported values are: 'float' and 'base64'.", param="encoding_format"),
    openai_refused("too many dimensions", {"model": "e", "input": "w1", "dimensions": 5},
                   "dimensions is 5; expected 1 to 4.", param="dimensions"),
    openai_refused("an unknown model", {"model": "x", "input": "w1"}, "The model 'x' does not exist", 404,
                   param="model", code="model_not_found"),
    openai_refused("an unknown version", {"model": "e/7", "input": "w1"}, "The model 'e/7' does not exist", 404,
                   param="model", code="model_not_found"),
    openai_refused("a name that no model can have", {"model": "../e", "input": "w1"},
                   "The model '../e' does not exist", 404, param="model", code="model_not_found"),
    Case("OAI", "the wrong verb", "GET", "/v1/embeddings", status=405, contains=('"code":"method_not_supported"',)),
    Case("OAI", "no JSON", "POST", "/v1/embeddings", "{", 400, contains=("not JSON", '"type":"invalid_request_error"')),
)  # fmt: skip

CASES = (*EMBED, *ERRORS, *OPENAI)
