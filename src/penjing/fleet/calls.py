"""What a request is, as far as a gateway has to know: whose dialect, which model, how much work, harmless to repeat?

The table repeats that of :mod:`penjing.serve.api.mounts` in what a gateway needs of it; a test holds the two together.
Paths of no dialect are passed on all the same: a remote replica may speak something else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from penjing.fleet.policies import Work, blocks_of
from penjing.serve.api.http import Reply, json_reply
from penjing.serve.api.kserve import errors as kserve
from penjing.serve.api.open_inference import errors as open_inference
from penjing.serve.api.openai import errors as openai
from penjing.serve.api.tei import errors as tei
from penjing.serve.api.tensorflow_serving import errors as tensorflow_serving

Fault = Callable[[Exception], Reply]
_FAULTS: dict[str, Fault] = {
    "/openai": openai.fault,
    "/tfs": tensorflow_serving.fault,
    "/oip": open_inference.fault,
    "/tei": tei.fault,
    "/kserve": kserve.fault,
}
_OPENAI = re.compile(r"/v1/(embeddings|completions|chat/completions)")
_TEI = re.compile(r"/(predict|tokenize|rerank|embed|embed_all|embed_sparse|similarity|info|health|ping)")
_IN_PATH = re.compile(r"/(?:v1|v2|v2/repository)/models/(?!stats$)([^/:]+)|/readyz/([^/]+)", re.IGNORECASE)
# Ask again, and nothing but an answer comes of it; loading a model or removing a document is another thing.
_HARMLESS = re.compile(
    r"/v1/models/[^/:]+(/(versions|labels)/[^/:]+)?:(predict|classify|regress|explain)"
    r"|/v2/models/[^/]+(/versions/[^/]+)?/(infer|generate|generate_stream)|/v2/repository/index"
    rf"|{_OPENAI.pattern}|{_TEI.pattern}|/v1/knowledge/[^/]+/ask",
    re.IGNORECASE,
)
_WRITES = re.compile(r"/v1/(chat/)?completions|/v2/models/[^/]+(/versions/[^/]+)?/(generate|generate_stream)")
_BYTES_PER_TOKEN, _TOKENS_PER_REQUEST, _TOKENS_WRITTEN = 4, 8, 128  # where nobody says better
_LIMITS = ("max_completion_tokens", "max_tokens", "max_new_tokens")


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked for.

    Attributes:
        fault: tells an error in the form of the call's dialect.
        model: decoded; empty where the path names none.
        names_model: whether the body says for which model it is.
        is_harmless: whether it may be sent twice.
        writes: whether text is generated, whose length is most of the work.
    """

    fault: Fault
    model: str
    names_model: bool
    is_harmless: bool
    writes: bool


@lru_cache(maxsize=4096)
def call_of(method: str, path: str) -> Call:
    """Read a request line.

    Args:
        method: in upper case.
        path: as sent, without the query.
    """
    prefix = next((prefix for prefix in _FAULTS if path.startswith(f"{prefix}/")), "")
    inner = path.removeprefix(prefix)
    is_openai = prefix == "/openai" or (not prefix and bool(_OPENAI.fullmatch(inner)))
    found = _IN_PATH.match(inner)
    model = unquote(found[1] or found[2]) if found and not is_openai else ""
    return Call(
        fault=_FAULTS[prefix] if prefix else openai.fault if is_openai else _bare(inner),
        model=model,
        names_model=is_openai and method == "POST",
        is_harmless=method in ("GET", "HEAD", "OPTIONS") or (method == "POST" and bool(_HARMLESS.fullmatch(inner))),
        writes=bool(_WRITES.fullmatch(inner)),
    )


def _bare(path: str) -> Fault:
    if path[:4].lower() == "/v1/":
        return tensorflow_serving.fault
    if path == "/v2" or path.startswith("/v2/"):
        return open_inference.fault
    return tei.fault if _TEI.fullmatch(path) else _plain


def _plain(error: Exception) -> Reply:
    reply = open_inference.fault(error)
    return json_reply(reply.status, {"error": open_inference.message_of(error)}, headers=reply.headers)


class Body:
    """A request's body, read as JSON only where somebody wants to know what it says."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._said: dict[str, Any] | None = None

    @property
    def said(self) -> dict[str, Any]:
        """The object in it; empty where there is none, which is for the replica to refuse."""
        if self._said is None:
            try:
                said = json.loads(self.content)
            except (ValueError, RecursionError):
                said = {}
            self._said = said if isinstance(said, dict) else {}
        return self._said

    @property
    def model(self) -> str:
        """What it says of the model."""
        model = self.said.get("model")
        return model if isinstance(model, str) else ""


def work_of(call: Call, body: Body, *, key: bytes = b"", with_prefix: bool = False) -> Work:
    """How much a request is.

    Nothing is tokenised: a token has about four bytes, each request is some tokens' worth by itself, and of generated
    text as much is expected as may be written.

    Args:
        call: what is asked for.
        body: how.
        key: what a consistent hash goes by.
        with_prefix: read the prompt for the policy that goes by it.
    """
    tokens = len(body.content) / _BYTES_PER_TOKEN + _TOKENS_PER_REQUEST
    if not call.writes:
        return Work(tokens, key or body.content)
    wanted = next((body.said[name] for name in _LIMITS if isinstance(body.said.get(name), int)), _TOKENS_WRITTEN)
    return Work(tokens + max(0, wanted), key or body.content, blocks_of(_prompt(body.said)) if with_prefix else ())


def _prompt(said: dict[str, Any]) -> bytes:
    prompt = next((said[name] for name in ("messages", "prompt", "text_input") if name in said), "")
    return (prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False)).encode("utf-8", "replace")
