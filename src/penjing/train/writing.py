"""Word by word distillation of models that write: L = α·L_CE + (1 − α)·L_D over the tokens that count.

Promise: L_D is T² · KL(softmax(t/T) ‖ softmax(s/T)) of each next token, with the teacher run beside the student at
every step; both losses are sums over the same tokens, so α weighs what it says.

Trade: to keep what a teacher says of every token would take its vocabulary times the tokens, gigabytes for a small
set; so it is asked anew in each epoch. Source: Kim and Rush, arXiv 1606.07947, §3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from penjing.models.decoder import PackedModel
from penjing.train import terms
from penjing.train.distillation import at_step
from penjing.train.frozen import autocast
from penjing.train.recipe import DistillationRecipe
from penjing.train.training_set import Objective, Pass


class WordByWord:
    """The loss, a :class:`penjing.train.training_set.PassObjective`.

    Args:
        hard: the task's own loss, L_CE.
        recipe: α and the temperature.
        teacher: kept as it is; of the student's vocabulary. None where α is 1 throughout.
        precision: of the teacher's matrix products.
    """

    traces = False

    def __init__(
        self, hard: Objective, recipe: DistillationRecipe, teacher: PackedModel | None, *, precision: str
    ) -> None:
        self._hard, self._recipe, self._precision = hard, recipe, precision
        self._teacher = teacher.eval() if teacher else None

    def of_pass(self, given: Pass) -> Tensor:
        """α·ΣL_CE + (1 − α)·ΣL_D over the tokens of a pass."""
        alpha = at_step(self._recipe.alpha, given.done)
        hard = self._hard(given.outputs, given.targets, given.batch.lengths)
        if alpha == 1 or self._teacher is None:
            return hard
        with torch.no_grad(), autocast(self._precision):
            theirs = self._teacher(given.batch).float()
        temperature = at_step(self._recipe.temperature, given.done)
        return alpha * hard + (1 - alpha) * terms.kl(given.outputs, theirs, temperature).sum()
