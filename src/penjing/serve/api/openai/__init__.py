"""OpenAI's API, as far as encoders have an answer to it."""

from penjing.serve.api.openai.dialect import OpenAI

__all__ = ["OpenAI"]
