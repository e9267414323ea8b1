"""TEI's calls to embedding models.

What differs: token ids are run as they come, where TEI decodes and encodes them again; texts and ids do not
mix in one batch.

Source: huggingface/text-embeddings-inference, ``router/src/http/server.rs``, ``router/src/http/types.rs``,
``core/src/infer.rs``.
"""

from __future__ import annotations

import numpy as np

from penjing.core.errors import EmptyError, FieldError, UnsupportedError
from penjing.serve.api.documents import checked_text, field, optional, shown
from penjing.serve.api.http import Reply, json_reply
from penjing.serve.api.tei.bodies import present, read_truncate, refuse_prompt
from penjing.serve.api.tei.call import Call
from penjing.serve.api.vectors import printed, texts_or_ids
from penjing.serve.decoding import check_dimensions, embeddings

NO_EMBEDDINGS = "Model is not an embedding model"
_SENTENCES = "inputs.sentences"


async def embed(call: Call) -> Reply:
    """A vector a text, of length one unless ``normalize`` is false."""
    _refuse_others(call)
    refuse_prompt(call.document)
    inputs, truncate = texts_or_ids(present(call.document), where="inputs"), read_truncate(call.document)
    normalised = optional(call.document, "normalize", bool) is not False
    dimensions = optional(call.document, "dimensions", int)
    check_dimensions(call.version.servable, dimensions)
    answers = await call.ask(inputs, truncate=truncate)
    vectors = embeddings(answers, call.version.servable, normalised=normalised, dimensions=dimensions)
    rows = await printed(call.plane, list(vectors), deadline=call.request.deadline)
    return Reply(200, f"[{','.join(rows)}]".encode(), headers=call.cost_headers(answers, inputs))


async def embed_all(call: Call) -> Reply:
    """A vector for each token of each text, special ones included, as the last layer gives it."""
    _refuse_others(call)
    refuse_prompt(call.document)
    inputs, truncate = texts_or_ids(present(call.document), where="inputs"), read_truncate(call.document)
    answers = await call.ask(inputs, truncate=truncate, reads="tokens")
    ends = np.cumsum([len(sequence) for sequence in answers.sequences])
    rows = await printed(call.plane, np.split(answers.outputs, ends[:-1]), deadline=call.request.deadline)
    return Reply(200, f"[{','.join(rows)}]".encode(), headers=call.cost_headers(answers, inputs))


async def similarity(call: Call) -> Reply:
    """The cosine between a sentence and each of others."""
    _refuse_others(call)
    asked = field(call.document, "inputs", dict)
    parameters = optional(call.document, "parameters", dict) or {}
    refuse_prompt(parameters)
    source, others = (
        field(asked, "source_sentence", str, where="inputs"),
        field(asked, "sentences", list, where="inputs"),
    )
    if not others or not source or "" in others:
        raise EmptyError("`inputs` cannot be empty" if others else f"`{_SENTENCES}` cannot be empty")
    if odd := next((one for one in others if not isinstance(one, str)), None):
        raise FieldError(f"{_SENTENCES} holds {shown(odd)}", field=_SENTENCES, expected="strings")
    texts = [checked_text(one, where="inputs") for one in (source, *others)]
    answers = await call.ask(texts, truncate=read_truncate(parameters))
    vectors = embeddings(answers, call.version.servable, normalised=True)
    cosines = vectors[1:] @ vectors[0]
    return json_reply(200, cosines.tolist(), headers=call.cost_headers(answers, texts))


async def embed_sparse(call: Call) -> Reply:
    """Sparse vectors, which no model here gives."""
    del call
    raise UnsupportedError(f"{NO_EMBEDDINGS} with SPLADE pooling")


def _refuse_others(call: Call) -> None:
    if call.version.servable.manifest.embedding is None:
        raise UnsupportedError(NO_EMBEDDINGS)
