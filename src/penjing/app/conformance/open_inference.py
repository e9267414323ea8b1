"""The Open Inference Protocol v2 through Triton's own clients, with their defaults: binary in, binary out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from penjing.app.conformance.checks import Check, Client, Target, expect


def _checks(triton: Any, client: Any, target: Target, *, as_json: dict[str, bool] | None) -> Iterator[Check]:
    """The checks that both of Triton's clients share; ``as_json`` is what asks the one over HTTP for JSON."""
    from tritonclient.utils import InferenceServerException

    ids = np.array([target.ids, target.ids], dtype=np.int64)

    def tensor(name: str, values: Any, datatype: str, **how: bool) -> Any:
        made = triton.InferInput(name, list(values.shape), datatype)
        made.set_data_from_numpy(values, **how)
        return made

    def whole() -> list[Any]:
        return [tensor("input_ids", ids, "INT64"), tensor("attention_mask", np.ones_like(ids), "INT64")]

    def is_ready() -> None:
        expect(client.is_server_live() and client.is_server_ready(), "the server says it is not")
        expect(client.is_model_ready(target.model), "the model says it is not")
        expect(not client.is_model_ready("no-such-model"), "a model that is not there says it is")

    def infers(sent: list[Any], **asked: Any) -> None:
        result = client.infer(target.model, sent, request_id="a-1", **asked)
        found = result.as_numpy(target.raw_output)
        expect(found is not None and found.dtype == np.float32, f"no float32 {target.raw_output}")
        expect(len(found) == 2 and np.isfinite(found).all(), f"shape {found.shape} for 2 rows")
        np.testing.assert_allclose(found[0], found[1], atol=1e-5)

    def answers_text() -> None:
        texts = np.array([target.text.encode()] * 2, dtype=np.object_)
        result = client.infer(target.model, [tensor("text", texts, "BYTES")])
        expect(len(result.as_numpy(next(iter(target.outputs)))) == 2, "no answer a text")

    def refuses() -> None:
        try:
            client.infer("no-such-model", whole())
        except InferenceServerException as error:
            expect(bool(error.message()), "no message")
        else:
            raise AssertionError("an answer")

    yield "live and ready, and honest about it", is_ready
    yield "token ids, the client's defaults", lambda: infers(whole())
    if as_json is not None:
        plain = [triton.InferRequestedOutput(target.raw_output, **as_json)]
        sent = [tensor("input_ids", ids, "INT64", **as_json), whole()[1]]
        yield "token ids, as JSON both ways", partial(infers, sent, outputs=plain)
    if target.takes_text:
        yield "texts", answers_text
    yield "metadata", lambda: _is_told(client.get_model_metadata(target.model), target)
    yield "statistics", lambda: expect(bool(client.get_inference_statistics(target.model)), "none")
    yield "index of the repository", lambda: expect(bool(client.get_model_repository_index()), "empty")
    yield "unknown model: an error with a message", refuses


def _is_told(told: Any, target: Target) -> None:
    name = told["name"] if isinstance(told, dict) else told.name
    expect(name == target.model, f"it calls itself {name!r}")


def _rest(target: Target) -> Iterator[Check]:
    import tritonclient.http as triton

    client = triton.InferenceServerClient(target.host, ssl=target.url.startswith("https"))
    yield from _checks(triton, client, target, as_json={"binary_data": False})


def _grpc(target: Target) -> Iterator[Check]:
    import tritonclient.grpc as triton

    yield from _checks(triton, triton.InferenceServerClient(str(target.grpc)), target, as_json=None)


REST = Client("triton-http", "tritonclient", ("tritonclient.http", "gevent"), _rest)
GRPC = Client("triton-grpc", "tritonclient", ("tritonclient.grpc", "grpc"), _grpc, grpc=True)
