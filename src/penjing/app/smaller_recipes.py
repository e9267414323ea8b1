"""The recipes of the commands that make a model smaller: distill, prune and compress."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from penjing.app.mirrors.recipe import MirrorRecipe
from penjing.app.recipes import ExportRecipe, MeasureRecipe
from penjing.core.nouns import Frozen
from penjing.data import DataRecipe
from penjing.store.manifest import NAME_PATTERN
from penjing.train.recipe import DistillationRecipe, Scope, TrainingRecipe


class DistillCommand(Frozen):
    """From teachers to a smaller student, a version in the store.

    Attributes:
        name: of the student in the store.
        teachers: versions (``name``, ``name/2``, ``name@alias``) or checkpoints; the mean of their outputs teaches.
        student: a checkpoint to start from, or ``static`` for the mean of token embeddings and a small head, made from
            the first teacher, of text classification only; None is the first teacher's own.
        static_width: numbers in an embedding of a static student.
        layers: how many of that model's layers the student keeps, evenly spread, or which, counted from 1; None is all.
        data: what to learn from and to be judged on; None is what the first teacher was made from.
        unlabelled: more texts to learn from, labels neither needed nor read; of text classification, and of translation
            with ``sequence``. Texts of the test split are left out.
        sequence: of translation: the teacher translates the sources anew, and its translations take the place of those
            in the data; L_CE is then of these.
        checkpoint: what the version holds: ``whole`` weights, or ``sparse`` ones where that is smaller.
        max_drop: the accuracy (F1, …), as a share, that may be lost to the first teacher on the test split; None asks
            for no gate.
        max_tokens: longer texts are cut to it; None is what the first teacher has.
        measure: speed of the first teacher and the student through the server, in turns; None skips it.
        seed: of order and dropout.
    """

    name: str = Field(pattern=NAME_PATTERN)
    teachers: tuple[str, ...] = Field(min_length=1)
    student: str | None = None
    static_width: int = Field(256, ge=4, le=8192)
    layers: Annotated[int, Field(ge=1)] | tuple[Annotated[int, Field(ge=1)], ...] | None = None
    data: DataRecipe | None = None
    unlabelled: str | None = None
    sequence: bool = False
    distill: DistillationRecipe = DistillationRecipe()
    checkpoint: Literal["whole", "sparse"] = "whole"
    max_drop: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=4, le=8192)
    training: TrainingRecipe = TrainingRecipe()
    export: ExportRecipe = ExportRecipe()
    measure: MeasureRecipe | None = MeasureRecipe()
    mirrors: MirrorRecipe = MirrorRecipe()
    seed: int = Field(42, ge=0, le=2**31)

    @model_validator(mode="after")
    def _weights_are_trained(self) -> Self:
        if self.training.delta is not None:
            raise ValueError("a student is trained whole; training.delta is of penjing finetune")
        if self.is_static and (self.layers is not None or self.distill.looks_inside):
            raise ValueError("a static student has no layers: leave out layers, and terms that look inside")
        return self

    @property
    def is_static(self) -> bool:
        """Whether the student is the mean of token embeddings."""
        return self.student == "static"


class WeightsRecipe(Frozen):
    """Which single weights go at once. To let them go while the model is trained, see ``training.sparsity``.

    Attributes:
        share: of the weights of the layers' matrices that become zero. Embeddings and heads are not pruned.
        by: ``magnitude`` cuts the smallest, ``taylor`` those on which the loss hangs least, to first order.
        scope: ``global`` compares all weights with all, ``matrix`` each with those of its own matrix.
    """

    share: float = Field(gt=0, lt=1)
    by: Literal["magnitude", "taylor"] = "magnitude"
    scope: Scope = "global"


class TargetRecipe(Frozen):
    """What heads and neurons are to be chosen for; one of the first two.

    Attributes:
        speedup: how many times as fast the engine must run texts of the data as it runs the whole model, both on one
            thread, in turns. What a server gains is less: it also reads and writes.
        max_mb: what serving may load, engine file and tokenizer, in megabytes.
        precision: of the engine file that is to keep it. ``int8`` is made for measuring alone; the version is fp32,
            and ``penjing quantize`` makes its int8 form.
        block: neurons that go or stay together.
    """

    speedup: float | None = Field(None, gt=1, le=1000)
    max_mb: float | None = Field(None, gt=0)
    precision: Literal["fp32", "int8"] = "fp32"
    block: int = Field(32, ge=1)

    @model_validator(mode="after")
    def _one_is_set(self) -> Self:
        if (self.speedup is None) == (self.max_mb is None):
            raise ValueError("a target is either speedup or max_mb")
        return self


class PruneCommand(Frozen):
    """From a version to one with fewer tokens, layers, attention heads, feed-forward neurons or weights.

    Attributes:
        model: reference of the version to start from: ``name``, ``name/2`` or ``name@alias``.
        name: of the new version in the store; None is the model's own.
        vocabulary: keep the tokens that the training split and ``texts`` need, and drop the others.
        texts: more sources, labels neither needed nor read, whose tokens are kept.
        least_count: how often a token must be met to be kept.
        layers: how many layers stay, those without which the loss rises most; or which, counted from 1; None is all.
        heads: attention heads of the whole model that stay, by first-order Taylor importance; the others are zeros
            in the checkpoint, and are left out of what is served. None is all.
        neurons: feed-forward neurons of every layer that stay, by first-order Taylor importance; None is all.
        target: choose heads and neurons, unequally many a layer, so that it is kept; None goes by the keys above.
        weights: single weights that become zero; None is none.
        checkpoint: what the version holds: ``whole`` weights, or ``sparse`` ones where that is smaller; ``auto`` is
            sparse where single weights were pruned.
        calibration_rows: training texts on which importance is taken. The test split is never used to choose.
        max_drop: the accuracy (F1, …), as a share, that may be lost on the test split; None asks for no gate.
        measure: speed of both through the server, in turns; None skips it.
        seed: of the choice of calibration texts.
    """

    model: str
    name: str | None = Field(None, pattern=NAME_PATTERN)
    vocabulary: bool = False
    texts: tuple[str, ...] = ()
    least_count: int = Field(1, ge=1)
    layers: Annotated[int, Field(ge=1)] | tuple[Annotated[int, Field(ge=1)], ...] | None = None
    heads: int | None = Field(None, ge=1)
    neurons: int | None = Field(None, ge=1)
    target: TargetRecipe | None = None
    weights: WeightsRecipe | None = None
    checkpoint: Literal["auto", "whole", "sparse"] = "auto"
    calibration_rows: int = Field(512, ge=16, le=100_000)
    max_drop: float | None = Field(None, ge=0, le=1)
    export: ExportRecipe = ExportRecipe()
    measure: MeasureRecipe | None = MeasureRecipe()
    seed: int = Field(42, ge=0, le=2**31)

    @property
    def holds_sparse(self) -> bool:
        """Whether sparse weights are wanted."""
        return self.checkpoint == "sparse" or (self.checkpoint == "auto" and self.weights is not None)

    @property
    def asks_texts(self) -> bool:
        """Whether training texts decide what goes."""
        by_loss = self.weights is not None and self.weights.by == "taylor"
        return bool(isinstance(self.layers, int) or self.heads or self.neurons or self.target or by_loss)

    @model_validator(mode="after")
    def _something_is_cut(self) -> Self:
        if not (self.vocabulary or self.layers or self.heads or self.neurons or self.target or self.weights):
            raise ValueError("nothing to prune: set vocabulary: true, layers, heads, neurons, target or weights")
        if self.target and (self.layers or self.heads or self.neurons or self.weights):
            raise ValueError("a target chooses by itself what goes: leave layers, heads, neurons and weights out")
        if self.target and self.target.max_mb and self.vocabulary:
            raise ValueError("max_mb counts all tokens: prune the vocabulary first, then that version to its size")
        return self


class StaticRung(Frozen):
    """The static student of a ladder: the mean of token embeddings, of text classification only.

    Attributes:
        width: numbers in an embedding, at most the model's own.
        training: how it is trained; it learns little below a rate of 0.001.
    """

    width: int = Field(256, ge=4, le=8192)
    training: TrainingRecipe = TrainingRecipe(epochs=20, batch_size=32, learning_rate=5e-3)


class CascadeRung(Frozen):
    """The cascade of a ladder, of text classification only; made where there are held-out texts.

    Attributes:
        agreement: with the model, share of texts; None is 1 − ``max_drop`` / 2, within 0.9 and 0.995.
        confidence: with which that is to hold for texts like those held out.
        held_out: labelled texts to find the thresholds by; None is the validation split, where there is one.
    """

    agreement: float | None = Field(None, gt=0.5, lt=1)
    confidence: float = Field(0.95, ge=0.5, lt=1)
    held_out: str | None = None


class CompressCommand(Frozen):
    """From a version to the fastest smaller one that keeps a contract.

    Attributes:
        model: reference of the version to start from: ``name``, ``name/2`` or ``name@alias``.
        name: of the new version in the store; None is the model's own.
        max_drop: the accuracy (F1, …), as a share, that may be lost on the whole test split.
        min_speedup: how many times as many requests a second it must answer as the model, through the server;
            below 1 where size is what counts.
        max_mb: what serving may load, in megabytes; None asks nothing.
        layers: numbers of layers to try, by distillation; None is a half, a third and a sixth of the model's.
        static: a student without layers; null leaves it out.
        cascade: the cheapest cascade of what was made; null leaves it out.
        restore: where int8 breaks the contract on held-out data, return its worst layers to fp32, if that keeps it.
            Held-out is the validation split, or ``cascade.held_out``.
        unlabelled: more texts for the students to learn from, labels neither needed nor read; of text classification.
        distill: what students learn.
        training: how students are trained.
        measure: of all that keep the other promises, in turns with the model.
        seed: of all steps.
    """

    model: str
    name: str | None = Field(None, pattern=NAME_PATTERN)
    max_drop: float = Field(ge=0, le=1)
    min_speedup: float = Field(gt=0)
    max_mb: float | None = Field(None, gt=0)
    layers: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    static: StaticRung | None = StaticRung()
    cascade: CascadeRung | None = CascadeRung()
    restore: bool = True
    unlabelled: str | None = None
    distill: DistillationRecipe = DistillationRecipe()
    training: TrainingRecipe = TrainingRecipe()
    measure: MeasureRecipe = MeasureRecipe()
    seed: int = Field(42, ge=0, le=2**31)

    @property
    def held_out(self) -> str | None:
        """Where held-out texts are; None is the validation split, if there is one."""
        return self.cascade.held_out if self.cascade else None

    @property
    def cascade_agreement(self) -> float:
        """What the cascade is to keep."""
        asked = self.cascade.agreement if self.cascade else None
        return min(0.995, max(0.9, 1 - self.max_drop / 2)) if asked is None else asked
