"""A knowledge base by what a user calls it: a file's path, or the URL of a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

from penjing.knowledge.base import KnowledgeBase
from penjing.knowledge.keeping import Base
from penjing.knowledge.postgres import PostgresBase
from penjing.knowledge.postgres_link import address_of, is_address


def base_at(place: Path | str, *, busy_timeout_s: float = 30.0) -> Base:
    """The base there, which may have to be made yet.

    Args:
        place: a path; ``postgresql://user@host/database#name``; or ``env:VARIABLE`` that holds such a URL.
        busy_timeout_s: how long to wait for another writer.

    Raises:
        UsageError: a URL that cannot be read, or with a password in it.
        ResourceError: the extra ``pgvector`` is not installed.
    """
    if isinstance(place, str) and is_address(place):
        return PostgresBase(address_of(place), busy_timeout_s=busy_timeout_s)
    return KnowledgeBase(Path(place), busy_timeout_s=busy_timeout_s)
