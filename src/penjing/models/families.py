"""The architectures we know: where each keeps the parts of a post-norm encoder.

Adding one is adding a function here and a line to the parity test; what stands on top of an
encoder is in :mod:`penjing.models.heads`. A checkpoint of another family is refused by name:
packing that is nearly right raises no error and answers wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from penjing.core.errors import CheckpointError
from penjing.models.attention import PositionBias

STATIC = "eurobert"  # without layers it is no family of encoders, and known to text classification alone


@dataclass(frozen=True, slots=True)
class LayerParts:
    """One transformer layer: attention, then feed-forward, each followed by a norm.

    Attributes:
        kept: heads that are there, of the encoder's, where some were left out; None is all, empty is no attention.
    """

    query: nn.Module
    key: nn.Module
    value: nn.Module
    attention_out: nn.Module
    attention_norm: nn.Module
    up: nn.Module
    activation: Callable[[Tensor], Tensor]
    down: nn.Module
    output_norm: nn.Module
    kept: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class EncoderParts:
    """What :class:`penjing.models.packed.PackedEncoder` walks through.

    Attributes:
        embed: (ids, positions, types), each int64 (cells,), → (cells, hidden), normed.
        layers: from the input to the output.
        heads: attention heads of every layer.
        dropout: probability on hidden states in training.
        bias: relative-position scores, or None.
        before_layers: modules that come before layer 0, for layer freezing.
    """

    embed: Callable[[Tensor, Tensor, Tensor], Tensor]
    layers: tuple[LayerParts, ...]
    heads: int
    dropout: float
    bias: PositionBias | None
    before_layers: tuple[nn.Module, ...]


def encoder_parts(model: Any) -> EncoderParts:
    """The parts of the encoder in a Transformers model of any task.

    Raises:
        CheckpointError: a family that is not known here.
    """
    build = _static if model.config.model_type == STATIC else FAMILIES.get(model.config.model_type)
    if build is None:
        raise unknown_family(model.config.model_type)
    return build(model.base_model)


def unknown_family(model_type: str, known: Iterable[str] | None = None) -> CheckpointError:
    """The refusal of a model type that has no packed path among the ``known`` ones, by default encoders."""
    return CheckpointError(
        f"model type {model_type!r}",
        expected=f"one of {', '.join(sorted(FAMILIES if known is None else known))}",
        do="Choose a checkpoint of a supported family.",
    )


def _static(encoder: Any) -> EncoderParts:
    """A EuroBERT without layers: the embedding of each token, normed. See :mod:`penjing.models.static`."""
    if len(encoder.layers):
        raise CheckpointError(
            f"a EuroBERT of {len(encoder.layers)} layers",
            expected="one without layers, a static student",
            do="Choose a checkpoint of a supported family.",
        )

    def embed(ids: Tensor, positions: Tensor, types: Tensor) -> Tensor:
        del positions, types
        normed: Tensor = encoder.norm(encoder.embed_tokens(ids))
        return normed

    return EncoderParts(embed, (), 1, 0.0, None, (encoder.embed_tokens, encoder.norm))


def _roberta(encoder: Any) -> EncoderParts:
    return _bert(encoder, position_offset=encoder.config.pad_token_id + 1)


def _bert(encoder: Any, *, position_offset: int = 0) -> EncoderParts:
    embeddings, project = encoder.embeddings, getattr(encoder, "embeddings_project", None)

    def embed(ids: Tensor, positions: Tensor, types: Tensor) -> Tensor:
        summed = embeddings.word_embeddings(ids) + embeddings.token_type_embeddings(types)
        summed = summed + embeddings.position_embeddings(positions + position_offset)
        normed: Tensor = embeddings.LayerNorm(summed)
        projected: Tensor = normed if project is None else project(normed)
        return projected

    layers = tuple(
        LayerParts(
            layer.attention.self.query, layer.attention.self.key, layer.attention.self.value,
            layer.attention.output.dense, layer.attention.output.LayerNorm,
            layer.intermediate.dense, layer.intermediate.intermediate_act_fn,
            layer.output.dense, layer.output.LayerNorm,
        )
        for layer in encoder.encoder.layer
    )  # fmt: skip
    before = (embeddings,) if project is None else (embeddings, project)
    config = encoder.config
    return EncoderParts(embed, layers, config.num_attention_heads, config.hidden_dropout_prob, None, before)


def _distilbert(encoder: Any) -> EncoderParts:
    config, embeddings = encoder.config, encoder.embeddings

    def embed(ids: Tensor, positions: Tensor, types: Tensor) -> Tensor:
        del types
        normed: Tensor = embeddings.LayerNorm(
            embeddings.word_embeddings(ids) + embeddings.position_embeddings(positions)
        )
        return normed

    layers = tuple(
        LayerParts(
            layer.attention.q_lin, layer.attention.k_lin, layer.attention.v_lin,
            layer.attention.out_lin, layer.sa_layer_norm,
            layer.ffn.lin1, layer.ffn.activation, layer.ffn.lin2, layer.output_layer_norm,
        )
        for layer in encoder.transformer.layer
    )  # fmt: skip

    return EncoderParts(embed, layers, config.n_heads, config.dropout, None, (embeddings,))


def _mpnet(encoder: Any) -> EncoderParts:
    config, embeddings, stack = encoder.config, encoder.embeddings, encoder.encoder
    offset = config.pad_token_id + 1

    def embed(ids: Tensor, positions: Tensor, types: Tensor) -> Tensor:
        del types
        summed = embeddings.word_embeddings(ids) + embeddings.position_embeddings(positions + offset)
        normed: Tensor = embeddings.LayerNorm(summed)
        return normed

    def bias(positions: Tensor) -> Tensor:
        relative = positions[:, None, :] - positions[:, :, None]
        buckets = stack.relative_position_bucket(relative, num_buckets=config.relative_attention_num_buckets)
        scores: Tensor = stack.relative_attention_bias(buckets).permute(0, 3, 1, 2)
        return scores

    layers = tuple(
        LayerParts(
            layer.attention.attn.q, layer.attention.attn.k, layer.attention.attn.v,
            layer.attention.attn.o, layer.attention.LayerNorm,
            layer.intermediate.dense, layer.intermediate.intermediate_act_fn,
            layer.output.dense, layer.output.LayerNorm,
        )
        for layer in stack.layer
    )  # fmt: skip
    before = (embeddings, stack.relative_attention_bias)
    return EncoderParts(embed, layers, config.num_attention_heads, config.hidden_dropout_prob, bias, before)


FAMILIES: dict[str, Callable[[Any], EncoderParts]] = {
    "bert": _bert,
    "roberta": _roberta,
    "xlm-roberta": _roberta,
    "camembert": _roberta,
    "electra": _bert,
    "distilbert": _distilbert,
    "mpnet": _mpnet,
}
