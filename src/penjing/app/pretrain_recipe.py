"""The recipe of ``penjing pretrain``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from penjing.app.mirrors.recipe import MirrorRecipe
from penjing.app.recipes import ExportRecipe, MeasureRecipe, TextRecipe
from penjing.core.nouns import Frozen, Task
from penjing.data.corpus import CorpusRecipe
from penjing.models.fresh import ArchitectureRecipe
from penjing.store.manifest import NAME_PATTERN
from penjing.tokens.learning import TokenizerRecipe
from penjing.tokens.masking import MaskingRecipe
from penjing.train.recipe import TrainingRecipe


class PretrainRecipe(Frozen):
    """From text without labels to a language model in the store.

    Attributes:
        name: of the model in the store.
        objective: ``mlm`` guesses masked tokens, for fill-mask and for fine-tuning; ``clm`` goes on from the left,
            for text-generation.
        model: a checkpoint to go on from (its tokenizer stays); None begins with ``architecture`` and ``tokenizer``.
        architecture: the size of a model from scratch; None is the usual one.
        tokenizer: what is learnt from the text for it; None is the usual one of the objective.
        data: the text.
        text: how it becomes sequences; longer documents are cut into several.
        masking: what is to be guessed, where the objective is ``mlm``.
        measure: speed through the server, kept in the bundle; None skips it.
        seed: of what is held out, first weights, order, masks and dropout.
    """

    name: str = Field(pattern=NAME_PATTERN)
    objective: Literal["mlm", "clm"] = "mlm"
    model: str | None = None
    architecture: ArchitectureRecipe | None = None
    tokenizer: TokenizerRecipe | None = None
    data: CorpusRecipe
    text: TextRecipe = TextRecipe()
    masking: MaskingRecipe = MaskingRecipe()
    training: TrainingRecipe = TrainingRecipe(learning_rate=1e-4, epochs=1)
    export: ExportRecipe = ExportRecipe()
    measure: MeasureRecipe | None = None
    mirrors: MirrorRecipe = MirrorRecipe()
    seed: int = Field(42, ge=0, le=2**31)

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        if self.model is not None and (self.architecture or self.tokenizer):
            raise ValueError("a model has its architecture and its tokenizer: give model, or the other two")
        return self

    @model_validator(mode="after")
    def _fits_the_objective(self) -> Self:
        size = self.size
        if self.model is None and size.is_causal != (self.objective == "clm"):
            raise ValueError(f"architecture.family {size.family} is not for objective {self.objective}")
        if self.model is None and self.text.max_tokens > size.positions:
            raise ValueError(
                f"text.max_tokens {self.text.max_tokens} is beyond architecture.positions {size.positions}"
            )
        return self

    @property
    def size(self) -> ArchitectureRecipe:
        """Of a model from scratch."""
        return self.architecture or ArchitectureRecipe(family="gpt2" if self.objective == "clm" else "bert")

    @property
    def learnt(self) -> TokenizerRecipe:
        """The tokenizer of a model from scratch."""
        return self.tokenizer or TokenizerRecipe(kind="bpe" if self.objective == "clm" else "wordpiece")

    @property
    def task(self) -> Task:
        """What the model is for."""
        return Task.TEXT_GENERATION if self.objective == "clm" else Task.FILL_MASK
