"""OpenAI's ``/v1/embeddings``.

What differs: token ids are the model's own and are run as they come; a text over the model's limit is cut
or refused as the server's recipe says; ``model`` takes a version or an alias too.

Source: openai/openai-openapi, ``CreateEmbeddingRequest`` and ``CreateEmbeddingResponse``; the messages as
its API answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from penjing.core.errors import FieldError, InvalidRequestError, ModelNotFoundError, UnsupportedError, UsageError
from penjing.serve.answers import Answers
from penjing.serve.api.documents import optional
from penjing.serve.api.http import Reply, Request
from penjing.serve.api.vectors import as_base64, as_numbers, printed, texts_or_ids
from penjing.serve.decoding import check_dimensions, embeddings
from penjing.serve.plane import DataPlane
from penjing.serve.versions import Version
from penjing.store.references import Reference, parse_reference

_MOST_INPUTS = 2048
_FORMATS = {"float": as_numbers, "base64": as_base64}


def named_model(document: Mapping[str, Any]) -> Reference:
    """The model that a body names.

    Raises:
        InvalidRequestError: none.
        ModelNotFoundError: one that no model can be called.
    """
    name = optional(document, "model", str)
    if not name:
        raise InvalidRequestError("you must provide a model parameter")
    try:
        return parse_reference(name)
    except UsageError as error:
        raise ModelNotFoundError(f"The model '{name[:200]}' does not exist") from error


async def create(plane: DataPlane, version: Version, document: Mapping[str, Any], *, request: Request) -> Reply:
    """Answer the call.

    Args:
        plane: answers.
        version: named by the body, held.
        document: the body.
        request: whose deadline holds.
    """
    if version.servable.manifest.embedding is None:
        raise UnsupportedError(f"The model '{document['model']}' gives no embeddings")
    if document.get("input") is None:
        raise FieldError("Missing required parameter: 'input'.", field="input")
    inputs, how = texts_or_ids(document["input"], where="input"), _format(document)
    if len(inputs) > _MOST_INPUTS:
        raise FieldError(
            f"Invalid 'input': array too long. Expected an array with maximum length {_MOST_INPUTS}, "
            f"but got an array with length {len(inputs)} instead.",
            field="input",
        )
    dimensions = optional(document, "dimensions", int)
    check_dimensions(version.servable, dimensions)
    with request.while_connected():
        answers = await plane.ask(version, inputs, deadline=request.deadline)
    vectors = embeddings(answers, version.servable, dimensions=dimensions)
    rows = await printed(plane, list(vectors), _FORMATS[how], deadline=request.deadline)
    return Reply(200, _body(rows, answers, document["model"]), headers=answers.cost.headers())


def _format(document: Mapping[str, Any]) -> str:
    wanted = optional(document, "encoding_format", str) or "float"
    if wanted not in _FORMATS:
        raise FieldError(
            f"Invalid value: '{wanted[:80]}'. Supported values are: 'float' and 'base64'.", field="encoding_format"
        )
    return wanted


def _body(rows: list[str], answers: Answers, model: str) -> bytes:
    data = ",".join(f'{{"object":"embedding","index":{at},"embedding":{row}}}' for at, row in enumerate(rows))
    tokens = answers.cost.tokens
    usage = f'{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}'
    return f'{{"object":"list","data":[{data}],"model":{json.dumps(model)},"usage":{usage}}}'.encode()
