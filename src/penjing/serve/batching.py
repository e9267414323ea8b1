"""From waiting pieces to one packed batch, through the engine, and back to each request.

Promises: every piece gets exactly one outcome, in the caller's order of sequences; a sequence that comes
several times in a batch is computed once; an engine that fails on a batch is tried once more with each piece
alone, so that only the guilty request fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from penjing.core.errors import ServingError
from penjing.engines import CascadeEngine, Engine, parts_of
from penjing.serve.answers import Floats
from penjing.serve.queue import Permit
from penjing.serve.work import Work
from penjing.tokens import Encoding, Reads, pack_sequences
from penjing.tokens.packing import Ints, places_read


@dataclass(frozen=True, slots=True)
class Packing:
    """How sequences become a batch.

    Attributes:
        pad_id: token id for empty cells.
        reads: what the head reads of each sequence, and so what a row of outputs is of, unless a request asks
            for another.
    """

    pad_id: int = 0
    reads: Reads = "first"


@dataclass(eq=False, slots=True)
class Piece:
    """As much of one request as is run at once: what is queued.

    Attributes:
        work: the request.
        number: position among its pieces.
        sequences: its share of the request.
        tokens: their sum.
        reads: what is wanted of each sequence; None leaves it to the lane's packing.
    """

    work: Work
    number: int
    sequences: Sequence[Encoding]
    tokens: int
    reads: Reads | None = None

    @property
    def permit(self) -> Permit:
        """The room of its request."""
        return self.work.permit


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one piece.

    Attributes:
        outputs: float32 (rows, outputs), a row a sequence or one a token; None if it failed.
        error: why it failed.
        fill: share of its batch's cells that held real tokens.
        ran_at: monotonic seconds when its batch was done.
        stages: how many of its sequences each stage of a cascade answered; empty of other engines.
    """

    piece: Piece
    outputs: Floats | None
    error: ServingError | None
    fill: float
    ran_at: float
    stages: tuple[int, ...] = ()


def cut_to_pieces(work: Work, sequences: Sequence[Encoding], *, budget: int, reads: Reads | None = None) -> list[Piece]:
    """Split a request at the token budget; a sequence longer than the budget is a piece of its own."""
    pieces: list[Piece] = []
    begin, tokens = 0, 0
    for index, sequence in enumerate(sequences):
        if index > begin and tokens + len(sequence) > budget:
            pieces.append(Piece(work, len(pieces), sequences[begin:index], tokens, reads))
            begin, tokens = index, 0
        tokens += len(sequence)
    pieces.append(Piece(work, len(pieces), sequences[begin:], tokens, reads))
    return pieces


def run_pieces(engine: Engine, pieces: Sequence[Piece], *, packing: Packing) -> Iterator[list[Outcome]]:
    """Run pieces as one batch for each of what is read of them; after a failure each alone.

    Yields:
        Outcomes as soon as they are known; over all, one a piece.
    """
    for reads in dict.fromkeys(piece.reads or packing.reads for piece in pieces):
        alike = [piece for piece in pieces if (piece.reads or packing.reads) == reads]
        yield from _run_alike(engine, alike, packing=Packing(packing.pad_id, reads))


def _run_alike(engine: Engine, pieces: Sequence[Piece], *, packing: Packing) -> Iterator[list[Outcome]]:
    try:
        yield _run(engine, pieces, packing=packing)
        return
    except Exception as error:  # noqa: BLE001  an engine may raise anything; nobody's reply may be lost over it
        if len(pieces) == 1:
            yield [_failed(pieces[0], error)]
            return
    for piece in pieces:
        yield from _run_alike(engine, [piece], packing=packing)


def _run(engine: Engine, pieces: Sequence[Piece], *, packing: Packing) -> list[Outcome]:
    sequences = [sequence for piece in pieces for sequence in piece.sequences]
    distinct, places = _once(sequences)
    batch = pack_sequences(distinct, pad_id=packing.pad_id, reads=packing.reads)
    answers, given_by = engine.run_staged(batch) if isinstance(engine, CascadeEngine) else (engine.run(batch), None)
    if len(answers) != len(batch.cells):
        raise ValueError(f"the engine gave {len(answers)} rows, {len(batch.cells)} were asked for")
    outputs = batch.in_order(answers)
    if len(distinct) < len(sequences):
        outputs = _repeated(outputs, distinct, places, reads=packing.reads)
    stages = None if given_by is None else batch.in_order(given_by)[places]
    ran_at, fill = time.monotonic(), batch.fill
    outcomes, begin = [], 0
    for piece in pieces:
        end = begin + _rows(piece.sequences, packing.reads)
        counted = () if stages is None else _counted(stages[begin:end], engine)
        outcomes.append(Outcome(piece, outputs[begin:end], None, fill, ran_at, counted))
        begin = end
    return outcomes


def _counted(given_by: Ints, engine: Engine) -> tuple[int, ...]:
    """How many rows each stage gave."""
    return tuple(np.bincount(given_by, minlength=len(parts_of(engine))).tolist())


def _once(sequences: Sequence[Encoding]) -> tuple[list[Encoding], list[int]]:
    """Each sequence once, and which of those stands at each place."""
    numbers: dict[tuple[bytes, ...], int] = {}
    distinct: list[Encoding] = []
    places: list[int] = []
    for one in sequences:
        key = tuple(b"" if part is None else part.tobytes() for part in (one.ids, one.type_ids, one.chosen))
        number = numbers.setdefault(key, len(numbers))
        if number == len(distinct):
            distinct.append(one)
        places.append(number)
    return distinct, places


def _rows(sequences: Sequence[Encoding], reads: Reads) -> int:
    """How many rows of outputs sequences have."""
    return len(sequences) if reads in ("first", "mean") else sum(len(places_read(one, reads)) for one in sequences)


def _repeated(outputs: Floats, distinct: Sequence[Encoding], places: Sequence[int], *, reads: Reads) -> Floats:
    """The outputs of distinct sequences, put to every place that asks for them."""
    if reads in ("first", "mean"):
        return outputs[places]
    own = np.split(outputs, np.cumsum([len(places_read(one, reads)) for one in distinct])[:-1])
    return np.concatenate([own[place] for place in places])


def _failed(piece: Piece, error: Exception) -> Outcome:
    reason = ServingError(f"the engine failed on this request: {error}", do="See the server's log.")
    reason.__cause__ = error
    return Outcome(piece, None, reason, 0.0, time.monotonic())
