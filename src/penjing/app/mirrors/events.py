"""TensorBoard's event files, written here: a record of a few protobuf fields is all that they hold.

Promise: what is taken lies on the disk when :meth:`EventFile.add` returns, and a refusal of the disk is an OSError of
that very call. Trade: scalars and texts only. tensorboardX hands records to a thread of its own, which dies of a full
disk and leaves its caller waiting for ever; TensorBoard's own writer tells it, and brings TensorBoard's server with it.

Source: tensorflow/core/util/event.proto, framework/summary.proto, lib/io/record_writer.h.
"""

from __future__ import annotations

import itertools
import os
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import final

_VERSION = b"brain.Event:2"
_START = 1  # SessionLog.SessionStatus
_STRING = 7  # DataType.DT_STRING


@final
class EventFile:
    """A new event file in a folder, which is made if absent.

    Args:
        folder: of the run.

    Raises:
        OSError: the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        seconds, rest = divmod(time.time_ns(), 10**9)  # readers take a folder's files in the order of their names
        self.path = folder / f"events.out.tfevents.{seconds:010d}.{rest:09d}.{os.getpid()}.penjing"
        self._file = self.path.open("xb", buffering=0)  # nothing is left to be written when it is closed
        self.add([event(3, _VERSION)])

    def add(self, events: Iterable[bytes]) -> None:
        """Write events; after a refusal the file is closed."""
        left = memoryview(b"".join(_record(one) for one in events))
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Write no more."""
        self._file.close()


def event(field: int, content: bytes, *, step: int = 0, at: float | None = None) -> bytes:
    """An ``Event`` with one field beside its time and step."""
    when = time.time() if at is None else at
    return b"\x09" + struct.pack("<d", when) + b"\x10" + _varint(step) + _field(field, content)


def scalars(figures: Mapping[str, float], *, step: int, at: float | None = None) -> bytes:
    """The event that holds figures of a step."""
    values = (_field(1, tag.encode()) + b"\x15" + struct.pack("<f", value) for tag, value in figures.items())
    return event(5, b"".join(_field(1, value) for value in values), step=step, at=at)


def text(tag: str, markdown: str, *, step: int = 0) -> bytes:
    """The event that holds a text, which TensorBoard shows as Markdown."""
    metadata = _field(1, _field(1, b"text"))
    tensor = b"\x08" + _varint(_STRING) + _field(2, b"") + _field(8, markdown.encode())
    value = _field(1, tag.encode()) + _field(9, metadata) + _field(8, tensor)
    return event(5, _field(1, value), step=step)


def started_again(step: int) -> bytes:
    """The event from which readers forget what earlier files say of this step and later ones."""
    return event(7, b"\x08" + _varint(_START), step=step)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _checksum(length) + content + _checksum(content)


def _checksum(content: bytes) -> bytes:
    """CRC-32C, turned and shifted as the format has it, lest a checksum of checksums be constant."""
    found = 0xFFFFFFFF
    for byte in content:
        found = _TABLE[(found ^ byte) & 0xFF] ^ found >> 8
    found ^= 0xFFFFFFFF
    return struct.pack("<I", ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _row(byte: int) -> int:
    for _ in itertools.repeat(None, 8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE = tuple(_row(byte) for byte in range(256))
