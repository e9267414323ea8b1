"""The nouns that every layer speaks. Small, frozen, without behaviour that could surprise."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Task(StrEnum):
    """What a model is for; Hugging Face's names."""

    TEXT_CLASSIFICATION = "text-classification"
    TOKEN_CLASSIFICATION = "token-classification"  # noqa: S105  (no password)
    QUESTION_ANSWERING = "question-answering"
    TRANSLATION = "translation"
    TEXT_GENERATION = "text-generation"
    FILL_MASK = "fill-mask"
    FEATURE_EXTRACTION = "feature-extraction"


class Problem(StrEnum):
    """What text classification answers with; Transformers' words for the ``problem_type`` of a checkpoint."""

    SINGLE_LABEL = "single_label_classification"
    MULTI_LABEL = "multi_label_classification"
    REGRESSION = "regression"


class Frozen(BaseModel):
    """Base of all value objects: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Embedding(Frozen):
    """How the tokens of a text become one vector.

    Attributes:
        pooling: the mean of all its tokens, or the first one, which BERT calls CLS.
        normalised: whether vectors are brought to length one.
        size: numbers in a vector.
    """

    pooling: Literal["mean", "first"] = "mean"
    normalised: bool = True
    size: int


class Translation(Frozen):
    """Between which languages a model translates, and how its translations are searched for.

    Attributes:
        source, target: in the model's own codes, such as ``eng_Latn`` or ``en``; None for a model of one pair.
        instruction: what stands before each text, as T5 was taught (``translate English to German: ``).
        beams: hypotheses that are followed at once; 1 takes the most probable token each time.
        patience: the search ends once ``beams`` times so many hypotheses have ended.
        length_penalty: above 0 longer translations are preferred, the more the higher.
    """

    source: str | None = None
    target: str | None = None
    instruction: str = ""
    beams: int = Field(4, ge=1, le=64)
    patience: float = Field(2.0, gt=0, le=16)
    length_penalty: float = Field(1.0, ge=-10, le=10)


class Measurement(Frozen):
    """A number that was measured, with how sure we are of it.

    Attributes:
        value: the estimate.
        low, high: bounds of its 95 % interval; None where none can be given.
        n: how many independent observations it rests on.
        unit: empty for plain ratios such as accuracy.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int
    unit: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("give both bounds of the interval or neither")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"interval is upside down: {self.low} > {self.high}")
        return self

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.low is None or self.high is None:
            return f"{self.value:.4g}{unit}"
        return f"{self.value:.4g}{unit} [{self.low:.4g}, {self.high:.4g}]"
