"""One label a text, where one of the labels is of texts out of scope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from penjing.app.tasks.base import Judgement
from penjing.app.tasks.problems import Floats, Outputs, SingleLabel
from penjing.evaluate.scope import ScopeScore
from penjing.tasks.out_of_scope import fit_bias, surplus
from penjing.tasks.text_classification import BIAS, adjusted


@final
class ScopedLabel(SingleLabel):
    """See :class:`penjing.app.tasks.problems.ProblemFlow`.

    Args:
        label: of the texts that belong to none of the others.
    """

    wants_validation = True

    def __init__(self, label: str) -> None:
        self._label = label

    def settings(self, outputs: Floats, targets: npt.NDArray[Any], names: Sequence[str]) -> dict[str, float]:
        """The bias that separates best, then the temperature at which the shares fit best with it."""
        bias = {BIAS + self._label: fit_bias(outputs, targets, names.index(self._label))}
        return bias | super().settings(adjusted(outputs, names, bias), targets, names)

    def judge(
        self, given: Outputs, targets: npt.NDArray[Any], names: Sequence[str], *, decoding: Mapping[str, float]
    ) -> Judgement:
        """What any classifier is measured by, and how well it tells what is out of scope."""
        score, at = ScopeScore(), names.index(self._label)

        def seen() -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
            for rows, logits in given:
                scaled, truth = adjusted(logits, names, decoding), targets[rows]
                score.add(surplus(scaled, at), truth == at, scaled.argmax(axis=1) == truth)
                yield rows, logits

        judged = super().judge(seen(), targets, names, decoding=decoding)
        result = judged.result.model_copy(update={"metrics": judged.result.metrics | score.metrics()})
        return Judgement(result, judged.predictions)
