"""One call of TEI's, and what its reply says of the cost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penjing.serve.answers import Answers, Inputs
from penjing.serve.api.http import Headers, Request
from penjing.serve.plane import DataPlane, LongText
from penjing.serve.versions import Version
from penjing.tokens import Encoding, Reads


@dataclass(frozen=True, slots=True)
class Call:
    """One call, its body read and its version held."""

    plane: DataPlane
    version: Version
    document: Mapping[str, Any]
    request: Request

    async def ask(self, inputs: Inputs, *, truncate: bool | None, reads: Reads | None = None) -> Answers:
        """Answers to texts, pairs or token ids, as long as the caller waits; see :meth:`DataPlane.ask`."""
        long_text: LongText | None = None if truncate is None else "cut" if truncate else "refuse"
        with self.request.while_connected():
            return await self.plane.ask(
                self.version, inputs, deadline=self.request.deadline, long_text=long_text, reads=reads
            )

    def cost_headers(self, answers: Answers, inputs: Inputs) -> Headers:
        """The cost in TEI's headers, in whole milliseconds, and in ours."""
        cost, whole = answers.cost, b"%d" % ((time.monotonic() - self.request.began) * 1000)
        return [
            (b"x-compute-type", b"cpu"),
            (b"x-compute-time", whole),
            (b"x-compute-characters", b"%d" % _characters(inputs)),
            (b"x-compute-tokens", b"%d" % cost.tokens),
            (b"x-total-time", whole),
            (b"x-tokenization-time", b"%d" % cost.tokenize_ms),
            (b"x-queue-time", b"%d" % cost.queue_ms),
            (b"x-inference-time", b"%d" % cost.run_ms),
            *cost.headers(),
        ]


def _characters(inputs: Sequence[Any]) -> int:
    """Of texts and pairs; token ids count as one each, as TEI has it."""
    return sum(len(one) if isinstance(one, str | Encoding) else len(one[0]) + len(one[1]) for one in inputs)
