"""A call for text, from its body to its reply or stream: what completions and chats do alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.serve.api.counting import count, counted
from penjing.serve.api.faults import code_of
from penjing.serve.api.http import Reply, Request, Stream, json_reply
from penjing.serve.api.openai.chat import Chat
from penjing.serve.api.openai.completions import Completions
from penjing.serve.api.openai.streaming import counted_stream, stream
from penjing.serve.plane import DataPlane
from penjing.serve.versions import Version


async def write(
    plane: DataPlane,
    version: Version,
    kind: type[Completions] | type[Chat],
    *,
    document: Mapping[str, Any],
    request: Request,
) -> Reply | Stream:
    """Answer the call, or begin to.

    Args:
        plane: answers.
        version: named by the body, held by the caller until this returns.
        kind: of call.
        document: the body.
        request: whose client is watched.
    """
    try:
        call = kind(document, version.servable)
        prompts = await plane.aside(call.prompts, deadline=request.deadline)
        writing = plane.write(version, prompts, call.wish, deadline=request.within(plane.writing_timeout_s))
    except Exception as error:
        count(plane, version.model, request, api=kind.api, code=code_of(error))
        raise
    if call.form.streams:
        events = stream(writing, first=call.first(), chunk_of=call.chunk_of, last=lambda: call.last(writing))
        return Stream(counted_stream(events, plane, model=version.model, request=request, api=kind.api))
    with counted(plane, version.model, request, api=kind.api), request.while_connected():
        answers = await writing.answers()
    return json_reply(200, call.whole(answers, writing), headers=writing.cost().headers())
