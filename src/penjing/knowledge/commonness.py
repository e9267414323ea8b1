"""In how many passages a question's terms stand: which of them BM25 weighs at all.

FTS5 gives a term that stands in half of the passages or more the weight 10⁻⁶, and yet scores every passage that has it:
"the" and "of" took nine tenths of a search's time and changed nothing. Counts are kept for one state of the file.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence

_MOST_KEPT = 50_000  # counts, which is some megabytes


class Commonness:
    """See the module. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation, self._passages = -1, 0
        self._counts: dict[str, int] = {}

    def weighed(self, terms: Sequence[str], connection: sqlite3.Connection, *, generation: int) -> list[str]:
        """Those of some terms that stand in fewer than half of the passages.

        Args:
            terms: as FTS5 is asked for them.
            connection: must see one state of the file.
            generation: of that state.
        """
        with self._lock:
            if self._generation != generation or len(self._counts) > _MOST_KEPT:
                self._generation, self._counts = generation, {}
                self._passages = int(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])
            for term in terms:
                if term not in self._counts:
                    row = connection.execute("SELECT count(*) FROM terms WHERE terms MATCH ?", (term,)).fetchone()
                    self._counts[term] = int(row[0])
            return [term for term in terms if 2 * self._counts[term] < self._passages]
