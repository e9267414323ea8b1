"""The clients, in the order of the report."""

from __future__ import annotations

from penjing.app.conformance import kserve, open_inference, openai, openapi, tensorflow_serving
from penjing.app.conformance.checks import Client

CLIENTS: tuple[Client, ...] = (
    tensorflow_serving.REST, tensorflow_serving.GRPC, open_inference.REST, open_inference.GRPC, kserve.REST,
    openai.REST, openapi.REST,
)  # fmt: skip
