"""The HTTP API of text-embeddings-inference (TEI)."""

from penjing.serve.api.tei.dialect import TextEmbeddingsInference

__all__ = ["TextEmbeddingsInference"]
