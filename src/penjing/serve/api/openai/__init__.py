"""OpenAI's API, for embeddings and for text."""

from penjing.serve.api.openai.dialect import OpenAI

__all__ = ["OpenAI"]
