"""What goes into the data plane and what comes out of it, in no dialect's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from penjing.core.nouns import Problem
from penjing.tasks.asked import Asked
from penjing.tokens import Encoding
from penjing.tokens.encode import Text

Floats = npt.NDArray[np.float32]
Inputs = Sequence[Text] | Sequence[Encoding]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request cost. Reply headers and metrics carry these names.

    Attributes:
        tokenize_ms: turning text into token ids.
        queue_ms: waiting for an engine.
        run_ms: packing and running, until the last answer was there.
        tokens: real tokens of this request.
        cut: texts that were longer than the model's limit.
        batch_fill: share of the batch's cells that held real tokens, 0..1.
        stages: how many of its texts each stage of a cascade answered; empty of other models.
    """

    tokenize_ms: float = 0.0
    queue_ms: float = 0.0
    run_ms: float = 0.0
    tokens: int = 0
    cut: int = 0
    batch_fill: float = 0.0
    stages: tuple[int, ...] = ()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The cost as reply headers."""
        headers = [
            (b"x-penjing-tokenize-ms", b"%.3f" % self.tokenize_ms),
            (b"x-penjing-queue-ms", b"%.3f" % self.queue_ms),
            (b"x-penjing-run-ms", b"%.3f" % self.run_ms),
            (b"x-penjing-tokens", b"%d" % self.tokens),
            (b"x-penjing-batch-fill", b"%.3f" % self.batch_fill),
        ]
        if self.cut:
            headers.append((b"x-penjing-cut-texts", b"%d" % self.cut))
        for number, texts in enumerate(self.stages, start=1):
            headers.append((b"x-penjing-stage-%d-texts" % number, b"%d" % texts))
        return headers


@dataclass(frozen=True, slots=True)
class Answers:
    """The engine's outputs for one request.

    Attributes:
        model, version: which bundle answered.
        labels: names of the outputs; empty where the bundle has none.
        outputs: float32 (rows, outputs), in the caller's order; a row a sequence, or one a token.
        cost: what it took.
        sequences: what was run, in the caller's order.
        decoding: the bundle's settings by which outputs become answers.
        problem: what text classification answers with; None is one label.
        asked: the texts made ready, from which their answers can be decoded; None where token ids came.
        texts: what a model that writes has written; ``outputs`` is then empty.
    """

    model: str
    version: int
    labels: tuple[str, ...]
    outputs: Floats
    cost: Cost
    sequences: Sequence[Encoding] = ()
    decoding: Mapping[str, float] = field(default_factory=dict)
    problem: Problem | None = None
    asked: Asked | None = None
    texts: Sequence[str] = ()
