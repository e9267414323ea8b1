"""Knowledge bases over HTTP: a dialect of the server, below ``/v1/knowledge``."""

from penjing.knowledge.http.dialect import KnowledgeBases, Served

__all__ = ["KnowledgeBases", "Served"]
