"""TEI's calls, one function each. A kind of model that is still to come is one function more.

Scores come highest first, as TEI sorts them; with one label, or where a text may have several, the sigmoid stands
in for the softmax. A regression's number is told as it is.

Source: huggingface/text-embeddings-inference, ``router/src/http/server.rs``, ``core/src/infer.rs``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np

from penjing.core.errors import UnsupportedError
from penjing.core.nouns import Task
from penjing.serve.answers import Answers
from penjing.serve.api.http import Reply, json_reply
from penjing.serve.api.tei.bodies import read_predict, read_tokenize
from penjing.serve.api.tei.call import Call
from penjing.serve.api.tei.embeddings import embed, embed_all, embed_sparse, similarity
from penjing.serve.api.tei.models import is_classifier
from penjing.serve.api.tei.reranking import rerank
from penjing.serve.decoding import classify, entities, spans
from penjing.serve.versions import Servable
from penjing.tokens.encode import Spelling

_IN_WORDS: dict[Task, Callable[[Answers, Servable], Sequence[Any]]] = {
    Task.TOKEN_CLASSIFICATION: entities,
    Task.QUESTION_ANSWERING: spans,
}


async def predict(call: Call) -> Reply:
    """Labels with their scores; of models that TEI refuses, the entities of each text or the answer to each pair."""
    body = read_predict(call.document)
    in_words = _IN_WORDS.get(call.version.servable.manifest.task)
    answers_pairs = in_words is spans and not any(isinstance(text, str) for text in body.texts)
    if in_words is not entities and not answers_pairs and not is_classifier(call.version.servable):
        raise UnsupportedError("Model is not a classifier model")
    answers = await call.ask(body.texts, truncate=body.truncate)
    ranked: Sequence[Any] = (
        in_words(answers, call.version.servable) if in_words else _ranked(answers, raw_scores=body.raw_scores)
    )
    headers = call.cost_headers(answers, body.texts)
    return json_reply(200, ranked if body.is_batch else ranked[0], headers=headers)


async def tokenize(call: Call) -> Reply:
    """Tokens with their places."""
    body = read_tokenize(call.document)
    with call.request.while_connected():
        spelled = await call.plane.spell(call.version, body.texts, special=body.special, deadline=call.request.deadline)
    return json_reply(200, [_tokens(text, one) for text, one in zip(body.texts, spelled, strict=True)])


CALLS: dict[str, Callable[[Call], Awaitable[Reply]]] = {
    "/predict": predict,
    "/tokenize": tokenize,
    "/rerank": rerank,
    "/embed": embed,
    "/embed_all": embed_all,
    "/embed_sparse": embed_sparse,
    "/similarity": similarity,
}


def _ranked(answers: Answers, *, raw_scores: bool) -> list[list[dict[str, Any]]]:
    predicted = classify(answers)
    scores = answers.outputs if raw_scores else predicted.scores
    return [
        [{"score": row[index], "label": predicted.classes[index]} for index in best]
        for row, best in zip(scores.tolist(), np.argsort(scores, axis=1, kind="stable")[:, ::-1].tolist(), strict=True)
    ]


def _tokens(text: str, spelled: Spelling) -> list[dict[str, Any]]:
    return [
        {"id": number, "text": token, "special": True, "start": None, "stop": None}
        if special
        else {"id": number, "text": text[begin:end], "special": False, "start": begin, "stop": end}
        for number, token, (begin, end), special in zip(
            spelled.ids, spelled.tokens, spelled.spans, spelled.special, strict=True
        )
    ]
