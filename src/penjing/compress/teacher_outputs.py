"""What a teacher answers to every sequence of a split: computed once, kept, and picked up after a kill.

Promise: a part of it is on disk whole or not at all, under a name that is the digest of teacher and tokens; so
another student of the same teacher finds it, and a killed run computes only what is missing. Price: four bytes an
output (a token, where the head reads every token). The directory may be removed at any time.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penjing.core.errors import PenjingError
from penjing.core.files import digest, write_atomically
from penjing.core.progress import Progress
from penjing.engines import Engine
from penjing.engines.bulk import bulk_outputs, bulk_token_outputs
from penjing.tokens import Encoding, Reads

_PART_ROWS = 4096

Floats = npt.NDArray[np.float32]


def teacher_outputs(
    engine: Engine,
    sequences: Sequence[Encoding],
    *,
    teacher: str,
    cache: Path,
    reads: Reads,
    progress: Progress,
) -> list[Floats]:
    """Outputs of each sequence: float32 (1, outputs), or (tokens, outputs) where the head reads every token.

    Args:
        engine: runs the teacher.
        sequences: at least one.
        teacher: its digest.
        cache: directory that holds what was computed before.
        reads: what its head reads.
        progress: where to show it.

    Raises:
        PenjingError: it gives something that is no finite number.
        ResourceError: the disk refused a part.
    """
    found: list[Floats] = []
    with progress.stage("Asking the teacher", total=sum(map(len, sequences))) as stage:
        for at in range(0, len(sequences), _PART_ROWS):
            some = sequences[at : at + _PART_ROWS]
            file = cache / f"{_name(teacher, some)}.npy"
            whole = _kept(file, sum(_rows(one, reads) for one in some))
            if whole is None:
                whole = np.concatenate(_ask(engine, some, reads=reads))
                _refuse_no_numbers(whole)
                write_atomically(file, _bytes(whole))
            found += np.split(whole, np.cumsum([_rows(one, reads) for one in some])[:-1])
            stage.advance(sum(map(len, some)))
    return found


def _ask(engine: Engine, sequences: Sequence[Encoding], *, reads: Reads) -> list[Floats]:
    answers: list[Floats] = [np.zeros((0, 0), np.float32)] * len(sequences)
    if reads == "tokens":
        for index, outputs in bulk_token_outputs(engine, sequences):
            answers[index] = outputs
        return answers
    for rows, outputs in bulk_outputs(engine, sequences, reads=reads):
        for row, one in zip(rows.tolist(), outputs, strict=True):
            answers[row] = one[None]
    return answers


def _rows(sequence: Encoding, reads: Reads) -> int:
    return len(sequence) if reads == "tokens" else 1


def _name(teacher: str, sequences: Sequence[Encoding]) -> str:
    tokens = hashlib.sha256()
    for one in sequences:
        types = b"" if one.type_ids is None else one.type_ids.tobytes()
        tokens.update(np.array([len(one), len(types)]).tobytes() + one.ids.tobytes() + types)
    return digest({"teacher": teacher, "tokens": tokens.hexdigest()})[:32]


def _kept(file: Path, rows: int) -> Floats | None:
    """What was kept of an earlier run; None where it is absent or not what was written."""
    try:
        found: Floats = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.ndim == 2 and len(found) == rows and found.dtype == np.float32 else None


def _bytes(outputs: Floats) -> bytes:
    memory = io.BytesIO()
    np.save(memory, outputs, allow_pickle=False)
    return memory.getvalue()


def _refuse_no_numbers(outputs: Floats) -> None:
    if not np.isfinite(outputs).all():
        raise PenjingError(
            "the teacher gives outputs that are no finite numbers", expected="finite numbers", do="Judge it first."
        )
