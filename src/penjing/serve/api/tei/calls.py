"""TEI's calls, one function each. A kind of model that is still to come is one function more.

Scores come highest first, as TEI sorts them; with one label the sigmoid stands in for the softmax.

Source: huggingface/text-embeddings-inference, ``router/src/http/server.rs``, ``core/src/infer.rs``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penjing.core.errors import EmptyError, UnsupportedError
from penjing.core.nouns import Task
from penjing.serve.answers import Answers, Cost, Floats
from penjing.serve.api.http import Headers, Reply, Request, json_reply
from penjing.serve.api.tei.bodies import read_predict, read_tokenize
from penjing.serve.api.tei.models import is_classifier
from penjing.serve.decoding import classify, entities
from penjing.serve.plane import DataPlane, LongText
from penjing.serve.versions import Version
from penjing.tokens.encode import Spelling, Text

_NO_EMBEDDINGS = "Model is not an embedding model"


@dataclass(frozen=True, slots=True)
class Call:
    """One call, its body read and its version held."""

    plane: DataPlane
    version: Version
    document: Mapping[str, Any]
    request: Request


async def predict(call: Call) -> Reply:
    """Labels with their scores; of a tagger, which TEI refuses, the entities of each text."""
    body = read_predict(call.document)
    is_tagger = call.version.servable.manifest.task is Task.TOKEN_CLASSIFICATION
    if not is_tagger and not is_classifier(call.version.servable):
        raise UnsupportedError("Model is not a classifier model")
    long_text: LongText | None = None if body.truncate is None else "cut" if body.truncate else "refuse"
    with call.request.while_connected():
        answers = await call.plane.ask(call.version, body.texts, deadline=call.request.deadline, long_text=long_text)
    if is_tagger:
        ranked: list[Any] = entities(answers, call.version.servable)
    else:
        ranked = _ranked(answers, raw_scores=body.raw_scores)
    return json_reply(
        200, ranked if body.is_batch else ranked[0], headers=_cost_headers(call, answers.cost, body.texts)
    )


async def tokenize(call: Call) -> Reply:
    """Tokens with their places."""
    body = read_tokenize(call.document)
    with call.request.while_connected():
        spelled = await call.plane.spell(call.version, body.texts, special=body.special, deadline=call.request.deadline)
    return json_reply(200, [_tokens(text, one) for text, one in zip(body.texts, spelled, strict=True)])


async def rerank(call: Call) -> Reply:
    """Texts by their fitness to a query: for a model that TEI calls a re-ranker."""
    if not call.document.get("texts"):
        raise EmptyError("`texts` cannot be empty")
    raise UnsupportedError("model is not a re-ranker model")


async def embed(call: Call) -> Reply:
    """Embeddings, and what is computed from them: for an embedding model."""
    del call
    raise UnsupportedError(_NO_EMBEDDINGS)


async def embed_sparse(call: Call) -> Reply:
    """Sparse embeddings."""
    del call
    raise UnsupportedError(f"{_NO_EMBEDDINGS} with SPLADE pooling")


CALLS: dict[str, Callable[[Call], Awaitable[Reply]]] = {
    "/predict": predict,
    "/tokenize": tokenize,
    "/rerank": rerank,
    "/embed": embed,
    "/embed_all": embed,
    "/embed_sparse": embed_sparse,
    "/similarity": embed,
}


def _ranked(answers: Answers, *, raw_scores: bool) -> list[list[dict[str, Any]]]:
    predicted = classify(answers)
    scores = answers.outputs if raw_scores else _probabilities(answers.outputs, predicted.probabilities)
    return [
        [{"score": row[index], "label": predicted.classes[index]} for index in best]
        for row, best in zip(scores.tolist(), np.argsort(scores, axis=1, kind="stable")[:, ::-1].tolist(), strict=True)
    ]


def _probabilities(logits: Floats, softmax: Floats) -> Floats:
    return softmax if logits.shape[1] != 1 else (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)


def _tokens(text: str, spelled: Spelling) -> list[dict[str, Any]]:
    return [
        {"id": number, "text": token, "special": True, "start": None, "stop": None}
        if special
        else {"id": number, "text": text[begin:end], "special": False, "start": begin, "stop": end}
        for number, token, (begin, end), special in zip(
            spelled.ids, spelled.tokens, spelled.spans, spelled.special, strict=True
        )
    ]


def _cost_headers(call: Call, cost: Cost, texts: Sequence[Text]) -> Headers:
    """The cost in TEI's headers, in whole milliseconds, and in ours."""
    characters = sum(len(one) if isinstance(one, str) else len(one[0]) + len(one[1]) for one in texts)
    whole = b"%d" % ((time.monotonic() - call.request.began) * 1000)
    return [
        (b"x-compute-type", b"cpu"),
        (b"x-compute-time", whole),
        (b"x-compute-characters", b"%d" % characters),
        (b"x-compute-tokens", b"%d" % cost.tokens),
        (b"x-total-time", whole),
        (b"x-tokenization-time", b"%d" % cost.tokenize_ms),
        (b"x-queue-time", b"%d" % cost.queue_ms),
        (b"x-inference-time", b"%d" % cost.run_ms),
        *cost.headers(),
    ]
