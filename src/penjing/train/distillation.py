"""Distillation as a loss of the one training loop: L = α·L_CE + (1 − α)·L_D.

Promise: the formula, exactly. L_CE is the task's own loss; L_D is a weighted sum of the terms of
:mod:`penjing.train.terms`, each a mean over a text's tokens (or its one output), then over texts, however a step is
split into passes. α and the temperature go in a straight line from the first step to the last. Nothing is drawn at
random and the teacher's outputs are data, so a resumed run is bit for bit the run.

    kl         T² · KL(softmax(t/T) ‖ softmax(s/T))              Hinton et al., arXiv 1503.02531
    mse        mean over outputs of (t − s)²                     Ba and Caruana, arXiv 1312.6184
    cosine     1 − cos(t, s)
    hidden     mean over units of (h_t − h_s)², mapped layers    Jiao et al., arXiv 1909.10351
    attention  KL of each token's attention, mapped layers       Wang et al., arXiv 2002.10957
    minilm     KL of query, key and value relations, one layer   Wang et al., arXiv 2012.15828

Trade: the last three run the teacher beside the student at every step; keeping its layers instead would take some
hundred times the room of its outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from penjing.core.errors import UsageError
from penjing.models.attention import SegmentLayout
from penjing.models.packed import LayerTrace, PackedEncoder, PackedTensors
from penjing.train import terms
from penjing.train.frozen import autocast
from penjing.train.recipe import DistillationRecipe
from penjing.train.training_set import Objective, Pass

# What a distribution of the outputs is over: the outputs of a cell, or the tokens of a text (question answering).
Over = Literal["outputs", "tokens"]


class Distillation:
    """The loss, a :class:`penjing.train.training_set.PassObjective`.

    Args:
        hard: the task's own loss, L_CE; gives 0 for a text without a label.
        recipe: what L_D is.
        over: what a distribution of the outputs is over.
        inside: what looks inside the layers; needed where the recipe has such terms.
    """

    def __init__(
        self,
        hard: Objective,
        recipe: DistillationRecipe,
        *,
        over: Over = "outputs",
        inside: LayerMatch | None = None,
    ) -> None:
        self.traces = inside is not None
        self._hard, self._recipe, self._over, self._inside = hard, recipe, over, inside

    def of_pass(self, given: Pass) -> Tensor:
        """α·ΣL_CE + (1 − α)·ΣL_D over the texts of a pass."""
        alpha = at_step(self._recipe.alpha, given.done)
        hard = self._hard(given.outputs, given.targets, given.batch.lengths)
        return alpha * hard + (1 - alpha) * (self.soft(given) * given.weights).sum()

    def soft(self, given: Pass) -> Tensor:
        """L_D of each text, (sequences,)."""
        parts = [self._of_outputs(given, given.teacher)] if given.teacher is not None else []
        parts += [self._inside.of_pass(given)] if self._inside else []
        return torch.stack(parts).sum(dim=0)

    def _of_outputs(self, given: Pass, teacher: Tensor) -> Tensor:
        ours, lengths, weights = given.outputs, given.batch.lengths, self._recipe.terms
        total = ours.new_zeros(len(lengths))
        if "kl" in weights:
            total = total + weights["kl"] * self._kl(given, teacher)
        if "mse" in weights:
            total = total + weights["mse"] * terms.mean_by_text(terms.mse(ours, teacher), lengths)
        if "cosine" in weights:
            total = total + weights["cosine"] * terms.mean_by_text(terms.cosine(ours, teacher), lengths)
        return total

    def _kl(self, given: Pass, teacher: Tensor) -> Tensor:
        temperature = at_step(self._recipe.temperature, given.done)
        if self._over == "outputs":
            return terms.mean_by_text(terms.kl(given.outputs, teacher, temperature), given.batch.lengths)
        layout = SegmentLayout(given.batch.first, given.batch.lengths, cells=len(given.outputs))
        return terms.kl_over_tokens(given.outputs, teacher, layout, temperature=temperature)


class LayerMatch:
    """The terms that look inside the layers, with the teacher run beside the student.

    Args:
        recipe: which terms.
        teacher: kept as it is.
        student: to see that the two fit.
        precision: of the teacher's matrix products.

    Raises:
        UsageError: widths, heads or a layer map that do not fit.
    """

    def __init__(
        self, recipe: DistillationRecipe, teacher: PackedEncoder, student: PackedEncoder, *, precision: str = "fp32"
    ) -> None:
        self._recipe, self._teacher, self._precision = recipe, teacher.eval(), precision
        self._pairs = layer_pairs(recipe.layer_map, ours=len(student.parts.layers), theirs=len(teacher.parts.layers))
        self._heads, self._relation_heads = student.parts.heads, recipe.relation_heads or student.parts.heads
        self._refuse_misfit(student)

    def of_pass(self, given: Pass) -> Tensor:
        """Their weighted sum for each text, (sequences,)."""
        theirs, lengths = self._run(given.batch), given.batch.lengths
        layout = SegmentLayout(given.batch.first, lengths, cells=len(given.batch.ids))
        pairs = [(given.trace[ours], theirs[at]) for ours, at in self._pairs]
        weights, parts = self._recipe.terms, []
        if "hidden" in weights:
            distances = [terms.mse(one.hidden.float(), other.hidden.float()) for one, other in pairs]
            parts.append(weights["hidden"] * terms.mean_by_text(terms.mean_of(distances), lengths))
        if "attention" in weights:
            found = [terms.relation((a.query, a.key), (b.query, b.key), layout, heads=self._heads) for a, b in pairs]
            parts.append(weights["attention"] * terms.mean_of(found))
        if "minilm" in weights:
            parts.append(weights["minilm"] * self._minilm(*pairs[-1], layout))
        return torch.stack(parts).sum(dim=0)

    def _minilm(self, one: LayerTrace, other: LayerTrace, layout: SegmentLayout) -> Tensor:
        parts = ((one.query, other.query), (one.key, other.key), (one.value, other.value))
        return terms.mean_of([terms.relation((a, a), (b, b), layout, heads=self._relation_heads) for a, b in parts])

    def _run(self, batch: PackedTensors) -> Sequence[LayerTrace]:
        trace: list[LayerTrace] = []
        with torch.no_grad(), autocast(self._precision):
            self._teacher(batch, trace=trace)
        return trace

    def _refuse_misfit(self, student: PackedEncoder) -> None:
        widths = [int(one.parts.layers[0].query.out_features) for one in (student, self._teacher)]  # type: ignore[arg-type]
        outs = [int(one.parts.layers[0].down.out_features) for one in (student, self._teacher)]  # type: ignore[arg-type]
        heads = [one.parts.heads for one in (student, self._teacher)]
        if "hidden" in self._recipe.terms and outs[0] != outs[1]:
            raise _misfit("hidden", f"widths {outs[0]} and {outs[1]}", "one width; minilm takes any")
        if "attention" in self._recipe.terms and heads[0] != heads[1]:
            raise _misfit("attention", f"{heads[0]} and {heads[1]} heads", "as many heads; minilm takes any")
        if "minilm" in self._recipe.terms and any(width % self._relation_heads for width in widths):
            took = f"widths {widths[0]} and {widths[1]} in {self._relation_heads} parts"
            raise _misfit("minilm", took, "relation_heads that divide both widths")


def at_step(value: float | tuple[float, float], done: float) -> float:
    """A setting when ``done`` of the run is behind: fixed, or on the line from its first number to its last."""
    return value if isinstance(value, (int, float)) else value[0] + (value[1] - value[0]) * done


def layer_pairs(chosen: Sequence[int] | None, *, ours: int, theirs: int) -> list[tuple[int, int]]:
    """(student's layer, teacher's layer), both counted from 0; last on last where none is chosen.

    Raises:
        UsageError: a map of another length, or to a layer that is not there.
    """
    if chosen is None:
        return [(layer, (layer + 1) * theirs // ours - 1) for layer in range(ours) if (layer + 1) * theirs >= ours]
    if len(chosen) != ours or max(chosen) > theirs or not any(chosen):
        raise UsageError(
            f"distill.layer_map is {list(chosen)}",
            expected=f"{ours} numbers, one for each of the student's layers: 1 to {theirs}, or 0 for none",
        )
    return [(layer, at - 1) for layer, at in enumerate(chosen) if at]


def _misfit(term: str, came: str, expected: str) -> UsageError:
    return UsageError(f"the term {term} with a student and a teacher of {came}", expected=expected)
