"""Bytes that are too many for memory, in a file without a name.

Promise: nothing is left on the disk, however the process ends. Price: a reading from the disk, or from the system's
cache of it, for each piece that is asked for.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path
from typing import final

from penjing.core.files import cannot_write

_BUFFER = 1 << 20


@final
class Spill:
    """Bytes one after another; what was added can be read at once, from several threads if none adds."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="penjing-")
        Path(name).unlink()
        self._handle, self._waiting, self._written = handle, bytearray(), 0
        weakref.finalize(self, os.close, handle)

    def __len__(self) -> int:
        return self._written + len(self._waiting)

    def add(self, content: bytes) -> None:
        """Add bytes behind all others.

        Raises:
            ResourceError: the disk refuses.
        """
        self._waiting += content
        if len(self._waiting) >= _BUFFER:
            self._flush()

    def read(self, begin: int, end: int) -> bytes:
        """The bytes from ``begin`` to before ``end``."""
        if end > self._written:
            self._flush()
        parts = []
        while begin < end:
            part = os.pread(self._handle, end - begin, begin)
            if not part:
                raise EOFError(f"{end - begin} bytes are missing of what was written")
            parts.append(part)
            begin += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _flush(self) -> None:
        try:
            with memoryview(self._waiting) as left:
                at = 0
                while at < len(left):
                    at += os.write(self._handle, left[at:])
        except OSError as error:
            raise cannot_write(Path(tempfile.gettempdir()), error) from error
        self._written += len(self._waiting)
        self._waiting = bytearray()
