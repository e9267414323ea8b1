"""What a training run is told. The resolved values travel in the bundle."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from penjing.core.machine import describe_machine
from penjing.core.nouns import Frozen
from penjing.models.deltas.recipe import AdapterRecipe

Share = Annotated[float, Field(ge=0, le=1)]
Warmth = Annotated[float, Field(gt=0, le=1000)]
Weight = Annotated[float, Field(gt=0, le=1e6)]
Scope = Literal["global", "matrix"]
Score = Literal["magnitude", "taylor", "movement"]
Term = Literal["kl", "mse", "cosine", "hidden", "attention", "minilm"]


class DistillationRecipe(Frozen):
    """What a student learns from its teacher: L = α·L_CE + (1 − α)·L_D, the mean over texts.

    Attributes:
        alpha: α, the share of the labels' own loss; or two numbers, from the first step to the last. A text without
            a label has no L_CE.
        temperature: T of ``kl``; or two numbers, from the first step to the last.
        terms: L_D is the sum of these, each times its weight. Of the outputs: ``kl``, ``mse``, ``cosine``. Of the
            layers, which wants one tokenizer: ``hidden`` (one width), ``attention`` (as many heads), ``minilm``.
        layer_map: for each of the student's layers the teacher's layer it follows, counted from 1, 0 for none; None
            spreads them evenly, last on last. ``minilm`` goes by the last one alone.
        relation_heads: into how many parts ``minilm`` divides each width; None is the student's heads.
    """

    alpha: Share | tuple[Share, Share] = 0.5
    temperature: Warmth | tuple[Warmth, Warmth] = 2.0
    terms: dict[Term, Weight] = Field(default={"kl": 1.0}, min_length=1)
    layer_map: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    relation_heads: int | None = Field(None, ge=1)

    @property
    def looks_inside(self) -> bool:
        """Whether the teacher's layers are needed, not its outputs alone."""
        return bool({"hidden", "attention", "minilm"} & set(self.terms))


class SparsityRecipe(Frozen):
    """How many single weights of an encoder's layers become zero while it is trained, and which.

    Attributes:
        share: of the weights of the layers' matrices, in the end. Embeddings and heads are not pruned.
        by: ``magnitude`` cuts the smallest; ``movement`` those that training moves towards zero; ``taylor`` those on
            which the loss hangs least.
        scope: ``global`` compares all weights with all, ``matrix`` each with those of its own matrix.
        begin, end: shares of the run between which sparsity rises, fast at first (cubic); alike is at once.
        every_steps: steps between two cuts.
    """

    share: float = Field(gt=0, lt=1)
    by: Score = "magnitude"
    scope: Scope = "global"
    begin: float = Field(0.1, ge=0, lt=1)
    end: float = Field(0.7, gt=0, le=1)
    every_steps: int = Field(10, ge=1)

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.end < self.begin:
            raise ValueError(f"sparsity rises from {self.begin} of the run to {self.end}; expected begin up to end")
        return self

    def share_at(self, done: float) -> float:
        """Share of zeros when ``done`` of the run, 0 to 1, is behind. Source: Zhu and Gupta, 1710.01878, equation 1."""
        if done >= self.end:
            return self.share
        risen = max(0.0, done - self.begin) / (self.end - self.begin)
        return self.share * (1 - (1 - risen) ** 3)


class TrainingRecipe(Frozen):
    """Settings of the training loop.

    Attributes:
        epochs: passes over the training split; a fraction is allowed.
        batch_size: sequences, or pairs of texts, an optimiser step.
        pass_tokens: tokens a forward pass; a larger step is split, its loss stays the mean over the step. A step
            of pairs is never split: each is told apart from all others.
        optimizer: ``adamw``; ``muon`` moves the layers' matrices by momentum made orthogonal, scaled so that AdamW's
            rates serve, and all else by AdamW: for pretraining.
        learning_rate: at its peak.
        weight_decay: on matrices; biases and norms are never decayed.
        warmup_fraction: share of the steps over which the rate rises; then it falls linearly to 0.
        clip_norm: largest gradient norm, None for no clipping.
        frozen_layers: the embeddings and this many first layers are not trained; 0 trains everything.
        frozen_cache_mib: what the frozen layers give is computed once and kept in a temporary file when there
            is more than one epoch and it fits this; 0 computes it anew each time. No dropout acts on it.
        delta: adapters to train instead of the weights; None trains these themselves.
        dropout: on hidden states; None keeps the checkpoint's own.
        precision: of the matrix products; ``auto`` takes bf16 where the processor multiplies it natively.
        validate_every: epochs between looks at the loss on the validation split; None never looks. A fraction
            is allowed.
        patience: looks without a lower loss after which training ends; None goes on to the end.
        keep: the weights of the ``last`` step, of the ``best`` look, or the ``average`` over the steps.
        average_decay: share of the average that stays at a step, where ``keep`` is ``average``.
        leave_out: steps in a row that may give no number (an infinite loss, say). Such a step changes nothing;
            one more and the run stops. 0 stops at the first.
        class_weights: ``balanced`` lets each class count by the inverse of its rows, where labels are uneven; of
            text classification only.
        label_smoothing: share of each target that is spread over all labels, or all tokens; of text classification
            and translation only.
        keep_zeros: weights of an encoder's layers that are exactly 0 stay so; a pruned model stays pruned.
        sparsity: more of them to become 0 on the way; None makes none.
        sharding: ``full`` lets each of several processes hold only its part of weights, gradients and moments, for
            models too large for one; with one process it changes nothing.
        save_every_s: seconds between resumable states, None to keep none.
        threads: processor threads, None for all usable cores.
    """

    epochs: float = Field(3.0, gt=0, le=1000)
    batch_size: int = Field(16, ge=1, le=65536)
    pass_tokens: int = Field(8192, ge=128)
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(5e-5, gt=0, le=1)
    weight_decay: float = Field(0.01, ge=0, le=1)
    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    clip_norm: float | None = Field(1.0, gt=0)
    frozen_layers: int = Field(0, ge=0)
    frozen_cache_mib: int = Field(4096, ge=0)
    delta: AdapterRecipe | None = None
    dropout: float | None = Field(None, ge=0, lt=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    validate_every: float | None = Field(None, gt=0, le=1000)
    patience: int | None = Field(None, ge=1)
    keep: Literal["last", "best", "average"] = "last"
    average_decay: float = Field(0.999, gt=0, lt=1)
    leave_out: int = Field(3, ge=0, le=1000)
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    keep_zeros: bool = True
    sparsity: SparsityRecipe | None = None
    sharding: Literal["none", "full"] = "none"
    save_every_s: float | None = Field(60.0, ge=0)
    threads: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _looks_are_there(self) -> Self:
        if self.validate_every is None and (self.patience is not None or self.keep == "best"):
            raise ValueError("patience and keep: best go by looks at the validation split; set validate_every: 1")
        return self

    @model_validator(mode="after")
    def _muon_fits(self) -> Self:
        if self.optimizer == "muon" and self.delta is not None:
            raise ValueError("optimizer: muon is for whole matrices, not for the thin ones of a delta; take adamw")
        return self

    @model_validator(mode="after")
    def _sharding_fits(self) -> Self:
        whole = self.delta is None and self.sparsity is None and self.frozen_layers == 0
        if self.sharding == "full" and not (whole and self.optimizer == "adamw"):
            raise ValueError("sharding: full is for training all weights by adamw: no delta, sparsity, frozen_layers")
        return self

    @model_validator(mode="after")
    def _sparsity_fits(self) -> Self:
        if self.sparsity is not None and (self.delta is not None or self.keep == "best"):
            raise ValueError(
                "sparsity acts on the weights themselves, and is whole at the end alone: no delta, no best"
            )
        return self


class FewShotRecipe(Frozen):
    """Training of the encoder on pairs of texts, before that of the head, for where there are few labels.

    Attributes:
        passes: how often each text is paired with another of its label.
        batch_size: pairs an optimiser step; each is told apart from those of other labels in it.
        learning_rate: AdamW's, at its peak.
    """

    passes: int = Field(10, ge=1, le=1000)
    batch_size: int = Field(32, ge=2, le=65536)
    learning_rate: float = Field(1e-4, gt=0, le=1)


def resolve_precision(wanted: str) -> str:
    """What ``auto`` means on this processor."""
    if wanted != "auto":
        return wanted
    native = {"avx512_bf16", "amx_bf16"} & set(describe_machine().instructions)
    return "bf16" if native else "fp32"
