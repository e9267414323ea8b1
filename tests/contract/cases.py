"""What the tables of the JSON dialects are made of, and how they are sent.

The tables assume the server of :func:`served`: a model ``m`` with versions 1 and 2, both served, and the
alias ``stable`` on version 1; classes bad, fair, good, of which logit j is half the sum of the ids that
are not masked, plus j; ids 0 to 99, at most 16 in a row; a tokenizer that knows ``w0`` … ``w93`` as ids
6 … 99, [UNK] as 1, and wraps a text in 2 and 3.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penjing.store.store import Store
from serve.doubles import publish, serving

EVEN = {"bad": 0.0900305733, "fair": 0.244728476, "good": 0.665240943}  # softmax of x, x+1, x+2


@dataclass(frozen=True)
class Case:
    """One request and what must come back.

    Attributes:
        clause: where the rule stands.
        sent: the body; what is no text or bytes is sent as JSON.
        json: the whole reply, numbers to a millionth; None does not look at it.
        contains: parts of the reply as text.
        body: exact bytes of the reply.
    """

    clause: str
    name: str
    method: str
    target: str
    sent: Any = b""
    status: int = 200
    json: Any = None
    contains: tuple[str, ...] = ()
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.clause} {self.name}"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def served(folder: Path, **told: Any) -> Iterator[Any]:
    """The server that the tables assume."""
    store = Store(folder)
    publish(store)
    publish(store)
    store.aliases.set("m", "stable", version=1)
    with serving(store, versions={"kind": "all"}, **told) as server:
        yield server


def send(server: Any, case: Case) -> Answer:
    """Send a case over a socket of its own."""
    sent = case.sent if isinstance(case.sent, bytes | str) else json.dumps(case.sent)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(case.method, case.target, sent.encode() if isinstance(sent, str) else sent, case.headers)
        reply = connection.getresponse()
        return Answer(reply.status, reply.headers, reply.read())
    finally:
        connection.close()


def check(case: Case, answer: Answer) -> None:
    """Whether the answer is the case's."""
    assert answer.status == case.status, answer.body
    if case.json is not None:
        assert is_close(answer.json, case.json), answer.body
    if case.body is not None:
        assert answer.body == case.body
    for part in case.contains:
        assert part in answer.body.decode()


def is_close(came: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return isinstance(came, float) and abs(came - expected) <= 1e-6
    if isinstance(expected, list):
        return isinstance(came, list) and len(came) == len(expected) and all(map(is_close, came, expected))
    if isinstance(expected, dict):
        return set(came) == set(expected) and all(is_close(came[key], expected[key]) for key in expected)
    return bool(came == expected)
