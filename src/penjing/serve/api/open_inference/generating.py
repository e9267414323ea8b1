"""The generate extension: a text in, text out, whole or as server-sent events.

What differs: besides the specification's parameters those of :mod:`penjing.serve.api.openai.wishes` are taken.

Source: Open Inference Protocol, ``specification/protocol/generate_rest.yaml``; Triton's
``docs/protocol/extension_generate.md``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from penjing.serve.api.counting import count, counted
from penjing.serve.api.documents import checked_text, field, optional
from penjing.serve.api.faults import code_of
from penjing.serve.api.http import Reply, Request, Stream, json_reply
from penjing.serve.api.open_inference import errors
from penjing.serve.api.openai.wishes import limit, wish_of
from penjing.serve.plane import DataPlane
from penjing.serve.versions import Version
from penjing.serve.writing.job import End, Piece, Written
from penjing.serve.writing.request import Writing

_LOG = logging.getLogger(__name__)
_DEFAULT_TOKENS = 20
_API = "Generate"


async def generate(
    plane: DataPlane, version: Version, document: Mapping[str, Any], *, request: Request, streams: bool
) -> Reply | Stream:
    """Answer the call, or begin to.

    Args:
        plane: answers.
        version: held by the caller until this returns.
        document: the body.
        request: whose client is watched.
        streams: bit by bit.
    """
    try:
        text = checked_text(field(document, "text_input", str), where="text_input")
        told = optional(document, "parameters", dict) or {}
        wish = wish_of({**told, "n": 1}, max_tokens=limit(told, "max_tokens") or _DEFAULT_TOKENS)
        details = optional(told, "details", bool, where="parameters") or False
        side = version.servable.side
        prompt = await plane.aside(lambda: side.prompt(text), deadline=request.deadline)
        writing = plane.write(version, [prompt], wish, deadline=request.within(plane.writing_timeout_s))
    except Exception as error:
        count(plane, version.model, request, api=_API, code=code_of(error))
        raise
    said = {"model_name": version.model, "model_version": str(version.number)}
    if named := optional(document, "id", str):
        said["id"] = named
    if streams:
        return Stream(_events(plane, writing, said, request=request, details=details))
    with counted(plane, version.model, request, api=_API), request.while_connected():
        (answer,) = await writing.answers()
    told_of = _details(answer.tokens, finish_of(answer.finish, answer.stopped_by)) if details else {}
    return json_reply(200, {"text_output": answer.text, **said, **told_of}, headers=writing.cost().headers())


def finish_of(finish: str, stopped_by: str | None) -> str:
    """Why an answer ended, in the specification's words."""
    return "length" if finish == "length" else "stop_sequence" if stopped_by else "eos_token"


async def _events(
    plane: DataPlane, writing: Writing, said: Mapping[str, Any], *, request: Request, details: bool
) -> AsyncGenerator[bytes]:
    code = "CANCELLED"
    try:
        async for _, what in writing.events():
            told = _piece_details(what) if details else {}
            if what.text or told:
                yield _event({"text_output": what.text, **said, **told})
        code = "OK"
    except Exception as error:  # noqa: BLE001  the head of the reply is sent: what is left to say is an error object
        code = code_of(error)
        _LOG.debug("a stream failed: %s", error)
        yield _event(json.loads(errors.fault(error).body))
    finally:
        writing.close(failed=True)
        count(plane, said["model_name"], request, api=_API, code=code)


def _piece_details(what: Piece | End) -> dict[str, Any]:
    if isinstance(what, Piece):
        return _details(what.tokens, None)
    return _details((), finish_of(what.finish, what.stopped_by))


def _details(tokens: Sequence[Written], finish: str | None) -> dict[str, Any]:
    logprobs = [{"id": one.id, "text": one.text, "logprob": one.logprob, "special": False} for one in tokens]
    return {"details": {"finish_reason": finish, "logprobs": logprobs}}


def _event(document: Mapping[str, Any]) -> bytes:
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return b"data: " + body + b"\n\n"
