"""TEI's ``/rerank``: texts by their fitness to a query, by a classifier of pairs with one label.

Source: huggingface/text-embeddings-inference, ``router/src/http/server.rs``, ``router/src/http/types.rs``.
"""

from __future__ import annotations

import numpy as np

from penjing.core.errors import EmptyError, FieldError, UnsupportedError
from penjing.serve.api.documents import checked_text, field, optional, shown
from penjing.serve.api.http import Reply, json_reply
from penjing.serve.api.tei.bodies import read_truncate
from penjing.serve.api.tei.call import Call
from penjing.serve.api.tei.models import is_reranker
from penjing.serve.decoding import classify

_TEXTS = "texts"


async def rerank(call: Call) -> Reply:
    """Places of the texts in the request, with their scores, the highest first."""
    if call.document.get(_TEXTS) in (None, []):
        raise EmptyError("`texts` cannot be empty")
    if not is_reranker(call.version.servable):
        raise UnsupportedError("model is not a re-ranker model")
    texts, query = _texts(call), checked_text(field(call.document, "query", str), where="query")
    gives_logits, gives_text = (optional(call.document, name, bool) or False for name in ("raw_scores", "return_text"))
    pairs = [(query, text) for text in texts]
    answers = await call.ask(pairs, truncate=read_truncate(call.document))
    logits = answers.outputs[:, 0]
    scores = (logits if gives_logits else classify(answers).scores[:, 0]).tolist()
    ranked = [
        {"index": at, "text": texts[at], "score": scores[at]} if gives_text else {"index": at, "score": scores[at]}
        for at in np.argsort(-logits, kind="stable").tolist()
    ]
    return json_reply(200, ranked, headers=call.cost_headers(answers, pairs))


def _texts(call: Call) -> list[str]:
    texts = field(call.document, _TEXTS, list)
    if odd := next((one for one in texts if not isinstance(one, str)), None):
        raise FieldError(f"{_TEXTS} holds {shown(odd)}", field=_TEXTS, expected="strings")
    return [checked_text(one, where=_TEXTS) for one in texts]
