"""The recipes of the life-cycle commands: one pydantic model each, written to and read from YAML."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from penjing.app.mirrors.recipe import MirrorRecipe
from penjing.compress.recipe import QuantizeRecipe
from penjing.core.nouns import Frozen, Problem, Task, Translation
from penjing.core.plain_yaml import write_yaml
from penjing.data import DataRecipe
from penjing.store.manifest import NAME_PATTERN
from penjing.train.recipe import DistillationRecipe, FewShotRecipe, TrainingRecipe


class TextRecipe(Frozen):
    """How text becomes tokens.

    Attributes:
        max_tokens: of a sequence, special ones included. Longer texts are cut to it, or read in windows of it
            where the task needs all of a text.
        stride: tokens by which such windows overlap; None is a quarter of ``max_tokens``.
    """

    max_tokens: int = Field(128, ge=4, le=8192)
    stride: int | None = Field(None, ge=0)

    @property
    def overlap(self) -> int:
        """The stride that was given, or the usual one."""
        return self.max_tokens // 4 if self.stride is None else self.stride


class ExportRecipe(Frozen):
    """Which engine runs the fine-tuned model.

    Attributes:
        engine: ``auto`` is ONNX Runtime in fp32 (see docs/decisions/0003), and CTranslate2 for models that write,
            which no other runs (docs/decisions/0012).
    """

    engine: Literal["auto", "onnxruntime", "openvino", "ctranslate2"] = "auto"


class ExportCommand(ExportRecipe):
    """What ``penjing export`` is told.

    Attributes:
        translation: languages and search of a translation model that is published as it is.
    """

    translation: Translation = Translation()


class MeasureRecipe(Frozen):
    """How speed is measured through the server.

    Attributes:
        rounds: how often each system takes its turn; 6 are needed for an interval.
        requests: single-text requests a system in each round, once one by one and once from ``clients``.
        clients: concurrent connections in the second part.
    """

    rounds: int = Field(6, ge=1, le=1000)
    requests: int = Field(48, ge=1)
    clients: int = Field(8, ge=1, le=256)


class ScratchRecipe(Frozen):
    """The size of a translation model that begins from nothing.

    Attributes:
        vocabulary: pieces of both languages together.
        width: of hidden states.
        layers: of the encoder, and of the decoder.
        heads: of attention.
    """

    vocabulary: int = Field(8000, ge=64, le=256_000)
    width: int = Field(256, ge=8, le=4096)
    layers: int = Field(3, ge=1, le=48)
    heads: int = Field(4, ge=1, le=64)

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is no even multiple of {self.heads} heads")
        return self


class FinetuneRecipe(Frozen):
    """From pretrained weights and labelled data to a version in the store.

    Attributes:
        name: of the model in the store.
        task: what is learnt.
        model: a checkpoint directory, a packaged name such as ``all-minilm-l6-v2``, or a hub name.
        few_shot: for few labels: the encoder learns from pairs of texts first (see the how-to on classifying);
            None leaves that out.
        seed: of splits, head, order and dropout.
        checkpoint: what the version holds: ``whole`` weights, or the ``delta`` from ``model`` or ``sparse`` weights
            where that is smaller; ``auto`` is the delta where adapters were trained, else the whole.
        measure: speed through the server, kept in the bundle; None skips it. Not of models that write, whose
            speed hangs on how much they are asked to.
    """

    name: str = Field(pattern=NAME_PATTERN)
    task: Literal[
        Task.TEXT_CLASSIFICATION,
        Task.TOKEN_CLASSIFICATION,
        Task.QUESTION_ANSWERING,
        Task.FEATURE_EXTRACTION,
        Task.TEXT_GENERATION,
        Task.TRANSLATION,
    ] = Task.TEXT_CLASSIFICATION
    model: str = "all-minilm-l6-v2"
    scratch: ScratchRecipe | None = None
    data: DataRecipe
    text: TextRecipe = TextRecipe()
    translation: Translation = Translation()
    training: TrainingRecipe = TrainingRecipe()
    few_shot: FewShotRecipe | None = None
    checkpoint: Literal["auto", "whole", "delta", "sparse"] = "auto"
    export: ExportRecipe = ExportRecipe()
    measure: MeasureRecipe | None = MeasureRecipe()
    mirrors: MirrorRecipe = MirrorRecipe()
    seed: int = Field(42, ge=0, le=2**31)

    @model_validator(mode="after")
    def _classes_are_there(self) -> Self:
        smooths = self.training.label_smoothing > 0 and self.task is not Task.TRANSLATION
        of_classes = self.training.class_weights != "none" or smooths
        if of_classes and self.problem is not Problem.SINGLE_LABEL:
            named, what = (
                (Problem.SINGLE_LABEL, self.problem) if self.problem else (Task.TEXT_CLASSIFICATION, self.task)
            )
            raise ValueError(f"class_weights and label_smoothing are of {named}, not of {what}")
        if self.task is not Task.TEXT_CLASSIFICATION and self.data.problem is not Problem.SINGLE_LABEL:
            raise ValueError(f"problem_type {self.data.problem} is of text-classification, not of {self.task.value}")
        if self.task is not Task.TEXT_CLASSIFICATION and self.data.out_of_scope is not None:
            raise ValueError(f"data.out_of_scope is of text-classification, not of {self.task.value}")
        if (self.translation != Translation() or self.scratch) and self.task is not Task.TRANSLATION:
            raise ValueError(f"translation and scratch are of the task translation, not of {self.task.value}")
        return self

    @model_validator(mode="after")
    def _few_labels_of_one_kind(self) -> Self:
        if self.few_shot is not None and self.problem is not Problem.SINGLE_LABEL:
            raise ValueError(f"few_shot is of {Problem.SINGLE_LABEL}, not of {self.problem or self.task}")
        if self.few_shot is not None and self.training.delta is not None:
            raise ValueError("few_shot trains the whole encoder, and training.delta leaves it; give one of them")
        return self

    @property
    def problem(self) -> Problem | None:
        """What text classification is to answer with; None for other tasks."""
        return self.data.problem if self.task is Task.TEXT_CLASSIFICATION else None


class PublishRecipe(Frozen):
    """From a checkpoint that is ready as it came to a version in the store.

    Attributes:
        name: of the model in the store.
        model: a checkpoint directory, a packaged name such as ``all-minilm-l6-v2``, or a hub name.
        task: what for; None is what the checkpoint says of itself. A bare encoder is for feature-extraction.
        max_tokens: of a sequence, special ones included; None is what the checkpoint says, else all it can.
    """

    name: str = Field(pattern=NAME_PATTERN)
    model: str
    task: Task | None = None
    max_tokens: int | None = Field(None, ge=4, le=8192)
    translation: Translation = Translation()
    export: ExportRecipe = ExportRecipe()


class RecoverRecipe(Frozen):
    """Quantisation-aware training: some more training of the version that sees int8's rounding, taught by the version.

    Attributes:
        distill: what it learns; terms of the outputs alone.
        training: how it is trained.
    """

    distill: DistillationRecipe = DistillationRecipe(alpha=0.3)
    training: TrainingRecipe = TrainingRecipe(epochs=1, batch_size=32, learning_rate=2e-5)

    @field_validator("training", mode="before")
    @classmethod
    def _over_the_usual(cls, told: object) -> object:
        """A key that is given changes that key alone."""
        return {"epochs": 1, "batch_size": 32, "learning_rate": 2e-5} | told if isinstance(told, dict) else told

    @model_validator(mode="after")
    def _weights_are_trained(self) -> Self:
        if self.training.delta is not None or self.training.frozen_layers:
            raise ValueError("recover trains the whole model: leave training.delta and training.frozen_layers out")
        if self.distill.looks_inside:
            raise ValueError("recover learns from outputs: terms kl, mse and cosine")
        return self


class QuantizeCommand(Frozen):
    """From a version to its int8 form.

    Attributes:
        model: reference of the version to start from: ``name``, ``name/2`` or ``name@alias``.
        base: where the base of a version lies that holds a delta; None is where it lay when it was trained.
        data: what to calibrate and judge on, for a version that was published as it came; others carry their own.
        recover: train with int8's rounding before int8 is made; None makes it of the version as it is.
        measure: speed of both through the server, interleaved.
        seed: of the choice of calibration texts, and of the order of training.
    """

    model: str
    base: str | None = None
    data: DataRecipe | None = None
    quantize: QuantizeRecipe = QuantizeRecipe()
    recover: RecoverRecipe | None = None
    measure: MeasureRecipe = MeasureRecipe()
    seed: int = Field(42, ge=0, le=2**31)

    @model_validator(mode="after")
    def _the_engine_is_known(self) -> Self:
        if self.recover is not None and self.quantize.engine == "measure":
            raise ValueError("recover learns one engine's rounding: set quantize.engine to onnxruntime or openvino")
        return self


class ListRecipe(Frozen):
    """Which versions ``penjing models`` lists.

    Attributes:
        model: only this one's; None is every model.
        aliased: only those that an alias leads to.
    """

    model: str | None = Field(None, pattern=NAME_PATTERN)
    aliased: bool = False


class QuickstartRecipe(FinetuneRecipe):
    """A fine-tuning recipe, and what the quickstart does after it.

    Attributes:
        quantize: of the int8 form.
        compare: speed of both forms and of Transformers, interleaved.
    """

    quantize: QuantizeRecipe = QuantizeRecipe()
    compare: MeasureRecipe = MeasureRecipe()

    @property
    def finetuning(self) -> FinetuneRecipe:
        """The fine-tuning alone, as ``penjing finetune`` takes it."""
        return FinetuneRecipe.model_validate({name: getattr(self, name) for name in FinetuneRecipe.model_fields})

    def quantizing(self, model: str) -> QuantizeCommand:
        """The quantisation of the version ``model``, as ``penjing quantize`` takes it."""
        return QuantizeCommand(model=model, quantize=self.quantize, measure=self.compare, seed=self.seed)


def as_yaml(recipe: BaseModel) -> str:
    """A recipe as the YAML file that repeats it."""
    return write_yaml(recipe.model_dump(mode="json"))
