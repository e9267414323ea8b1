"""What stands on top of an encoder: which hidden states a head reads, and what it makes of them.

A head is known by the Transformers class it belongs to, so that a checkpoint says by itself what it
is for. Adding one is adding a line to :data:`penjing.models.tasks.TASK_CLASSES`
and a function here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from penjing.core.errors import CheckpointError
from penjing.core.nouns import Embedding, Task
from penjing.models.families import STATIC
from penjing.models.tasks import TASK_CLASSES, reads_of, task_of
from penjing.tokens import Reads


@dataclass(frozen=True, slots=True)
class Head:
    """What follows the last layer.

    Attributes:
        reads: the first token of each sequence, every token, their mean, or the tokens that a sequence names.
        averages: the row that is read by a sequence's first token is of the mean of all its tokens.
        outputs: hidden states (read, hidden) of what it reads → (read, outputs).
    """

    reads: Reads
    outputs: Callable[[Tensor], Tensor]
    averages: bool = False


def head_of(model: Any, embedding: Embedding | None = None) -> Head:
    """The head of a Transformers model.

    Args:
        model: of a class that :data:`penjing.models.tasks.TASK_CLASSES` knows.
        embedding: how a bare encoder pools; None is the mean.

    Raises:
        CheckpointError: a class without a head that is known here.
    """
    task = task_of({"architectures": [type(model).__name__]})
    if task is Task.TEXT_CLASSIFICATION and model.config.model_type == STATIC:
        return _static_head(model)
    if task is Task.TEXT_CLASSIFICATION:
        return Head("first", _SEQUENCE_HEADS.get(model.config.model_type, _first_token_head)(model))
    if task is Task.TOKEN_CLASSIFICATION:
        return Head("tokens", lambda hidden: model.classifier(model.dropout(hidden)))
    if task is Task.QUESTION_ANSWERING:
        dropout = getattr(model, "dropout", torch.nn.Identity())
        return Head("tokens", lambda hidden: model.qa_outputs(dropout(hidden)))
    if task is Task.FILL_MASK:
        return Head("chosen", _VOCABULARY_HEADS[model.config.model_type](model))
    if task is Task.FEATURE_EXTRACTION:
        return Head(reads_of(task, embedding), torch.nn.Identity())
    endings = ", ".join(f"…{ending}" for ending, _ in TASK_CLASSES.values() if isinstance(ending, str))
    raise CheckpointError(f"a model of class {type(model).__name__}", expected=f"one of {endings}")


def _static_head(model: Any) -> Head:
    if model.config.classifier_pooling != "mean":
        raise CheckpointError(f"classifier_pooling {model.config.classifier_pooling!r}", expected="'mean'")
    return Head("first", lambda mean: model.classifier(model.activation(model.dense(mean))), averages=True)


def rescale_outputs(model: Any, *, factor: float, shift: float) -> None:
    """Let a sequence head give output · factor + shift, by its last layer alone.

    Raises:
        CheckpointError: its last layer is not a linear one with a bias.
    """
    layers = [module for module in model.classifier.modules() if isinstance(module, torch.nn.Linear)]
    if not layers or layers[-1].bias is None:
        raise CheckpointError(
            f"a head of class {type(model.classifier).__name__}", expected="one that ends in a linear layer"
        )
    with torch.no_grad():
        layers[-1].weight.mul_(factor)
        layers[-1].bias.mul_(factor).add_(shift)


def _first_token_head(model: Any) -> Callable[[Tensor], Tensor]:
    """RoBERTa, ELECTRA, MPNet: the head takes ``(batch, tokens, hidden)`` and reads token 0."""
    return lambda first: model.classifier(first[:, None])


def _bert_head(model: Any) -> Callable[[Tensor], Tensor]:
    return lambda first: model.classifier(model.dropout(model.bert.pooler(first[:, None])))


def _distilbert_head(model: Any) -> Callable[[Tensor], Tensor]:
    return lambda first: model.classifier(model.dropout(torch.relu(model.pre_classifier(first))))


_SEQUENCE_HEADS: dict[str, Callable[[Any], Callable[[Tensor], Tensor]]] = {
    "bert": _bert_head,
    "distilbert": _distilbert_head,
}


def _lm_head(model: Any) -> Callable[[Tensor], Tensor]:
    return lambda hidden: model.lm_head(hidden)


def _electra_lm_head(model: Any) -> Callable[[Tensor], Tensor]:
    return lambda hidden: model.generator_lm_head(model.generator_predictions(hidden))


def _distilbert_lm_head(model: Any) -> Callable[[Tensor], Tensor]:
    def outputs(hidden: Tensor) -> Tensor:
        normed = model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
        logits: Tensor = model.vocab_projector(normed)
        return logits

    return outputs


_VOCABULARY_HEADS: dict[str, Callable[[Any], Callable[[Tensor], Tensor]]] = {
    "bert": lambda model: lambda hidden: model.cls(hidden),
    "roberta": _lm_head,
    "xlm-roberta": _lm_head,
    "camembert": _lm_head,
    "mpnet": _lm_head,
    "electra": _electra_lm_head,
    "distilbert": _distilbert_lm_head,
}
