"""Server-sent events as OpenAI's clients read them: one JSON object an event, ``[DONE]`` at the end.

Promise: a stream that has begun ends in ``[DONE]`` or in one error object, after which nothing comes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Any

from penjing.core.errors import DepartedError, PenjingError
from penjing.serve.api.counting import count
from penjing.serve.api.faults import code_of
from penjing.serve.api.http import Request
from penjing.serve.api.openai import errors
from penjing.serve.plane import DataPlane
from penjing.serve.writing.job import End, Piece
from penjing.serve.writing.request import Writing

_LOG = logging.getLogger(__name__)
DONE = b"data: [DONE]\n\n"
Chunk = Mapping[str, Any]


def usage_of(writing: Writing) -> dict[str, int]:
    """Tokens read and written."""
    read, written = writing.prompt_tokens, writing.written_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


async def stream(
    writing: Writing,
    *,
    first: Iterable[Chunk],
    chunk_of: Callable[[int, Piece | End], Iterable[Chunk]],
    last: Callable[[], Iterable[Chunk]],
) -> AsyncGenerator[bytes]:
    """The events of a request.

    Args:
        writing: accepted.
        first: chunks before any text.
        chunk_of: number of an answer and what came of it → chunks.
        last: chunks after all text.
    """
    try:
        for chunk in first:
            yield event(chunk)
        async for number, what in writing.events():
            for chunk in chunk_of(number, what):
                yield event(chunk)
        for chunk in last():
            yield event(chunk)
        yield DONE
    except PenjingError as error:
        if not isinstance(error, DepartedError):
            yield event(json.loads(errors.fault(error).body))
    except Exception as error:  # noqa: BLE001  the head of the reply is sent: what is left to say is an error object
        _LOG.exception("a stream failed")
        yield event(json.loads(errors.fault(error).body))
    finally:
        writing.close(failed=True)


async def counted_stream(
    events: AsyncGenerator[bytes], plane: DataPlane, *, model: str, request: Request, api: str
) -> AsyncGenerator[bytes]:
    """Events, and at their end the request counted under its model's name."""
    code = "OK"
    try:
        async for one in events:
            if one.startswith(b'data: {"error"'):
                code = "INTERNAL"
            yield one
    except BaseException as error:
        code = code_of(error) if isinstance(error, PenjingError) else "CANCELLED"
        raise
    finally:
        await events.aclose()
        count(plane, model, request, api=api, code=code)


def event(chunk: Chunk) -> bytes:
    """One event."""
    body = json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return b"data: " + body + b"\n\n"
