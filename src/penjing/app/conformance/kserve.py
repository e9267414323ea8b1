"""KServe's V1 and V2 over HTTP, through KServe's own client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from penjing.app.conformance.checks import Check, Client, Target, expect


def _rest(target: Target) -> Iterator[Check]:
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    row = {"input_ids": list(target.ids), "attention_mask": [1] * len(target.ids)}

    def asking(protocol: str, call: Callable[[Any], Awaitable[Any]]) -> Any:
        async def once() -> Any:
            client = InferenceRESTClient(RESTConfig(protocol=protocol, timeout=30))
            try:
                return await call(client)
            finally:
                await client.close()

        return asyncio.run(once())

    def predicts() -> None:
        told = asking("v1", lambda it: it.infer(target.url, {"instances": [row]}, model_name=target.model))
        expect(len(told["predictions"]) == 1, f"{told}")

    def infers() -> None:
        ids = InferInput("input_ids", [1, len(target.ids)], "INT64", data=[list(target.ids)])
        request = InferRequest(model_name=target.model, infer_inputs=[ids])
        told = asking("v2", lambda it: it.infer(target.url, request, model_name=target.model))
        expect(told.model_name == target.model and bool(told.outputs), f"{told}")

    def is_ready() -> None:
        for protocol in ("v1", "v2"):
            ready = asking(protocol, lambda it: it.is_model_ready(target.url, target.model))
            expect(bool(ready), f"not ready by {protocol}")

    yield "V1 predict", predicts
    yield "V2 infer", infers
    yield "ready by V1 and V2", is_ready


REST = Client("kserve", "kserve", ("kserve",), _rest)
