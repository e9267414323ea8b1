"""OpenAI's API through its own client, with its defaults."""

from __future__ import annotations

import math
from collections.abc import Iterator

from penjing.app.asking import ask
from penjing.app.conformance.checks import Check, Client, Target, expect
from penjing.core.errors import ResourceError


def _base(url: str) -> str:
    """Where a server of several protocols keeps OpenAI's apart, that place: ``/v1/models/NAME`` has two meanings."""
    try:
        ask(url, "/openai/v1/models")
    except ResourceError:
        return f"{url}/v1"
    return f"{url}/openai/v1"


def _rest(target: Target) -> Iterator[Check]:
    import openai

    client = openai.OpenAI(base_url=_base(target.url), api_key="unused", max_retries=0)

    def lists() -> None:
        names = [model.id for model in client.models.list()]
        expect(target.model in names, f"{target.model!r} is not among {names}")

    def tells() -> None:
        expect(client.models.retrieve(target.model).object == "model", "it is no model")

    def refuses() -> None:
        try:
            client.models.retrieve("no-such-model")
        except openai.NotFoundError as error:
            expect(bool(error.message), "no message")
        else:
            raise AssertionError("an answer")

    def embeds() -> None:
        told = client.embeddings.create(model=target.model, input=[target.text, target.text])  # base64, by default
        plain = client.embeddings.create(model=target.model, input=target.text, encoding_format="float")
        expect([one.index for one in told.data] == [0, 1], "not in the order sent")
        same = zip(told.data[0].embedding, plain.data[0].embedding, strict=True)
        expect(all(math.isclose(one, other, abs_tol=1e-5) for one, other in same), "base64 and floats differ")
        expect(told.usage.prompt_tokens > 0, "no tokens were counted")

    yield "list of models", lists
    yield "one model", tells
    yield "unknown model: its own NotFoundError", refuses
    if "embedding" in target.outputs:
        yield "embeddings, base64 and floats", embeds


REST = Client("openai", "openai", ("openai",), _rest)
