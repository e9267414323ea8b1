"""The encoder over packed rows: the one forward pass of training, evaluation and export.

Promise: the same outputs as Transformers' own padded forward, to rounding, for every family of
:mod:`penjing.models.families`; a test holds that in float64. It differs in what it does *not*
compute: no padding tokens outside attention, and in the last layer nothing but what the head
reads. Where that is the first token of each sequence, with six layers an eighth of the work is saved.

Trade: dropout acts on hidden states only, not inside attention, where it costs the fused kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from penjing.core.nouns import Embedding
from penjing.models.attention import Attention, RowAttention, SegmentAttention
from penjing.models.families import EncoderParts, LayerParts, encoder_parts
from penjing.models.heads import head_of
from penjing.models.lean import lean_parts
from penjing.tokens import Encoding, PackedBatch
from penjing.tokens.packing import token_cells


@dataclass(frozen=True, slots=True)
class PackedTensors:
    """A :class:`PackedBatch` as torch tensors, flattened to cells.

    Attributes:
        ids, positions, types: int64 (cells,).
        first, lengths: int64 (sequences,).
        chosen: int64 (outputs,), the cells that sequences name to be read; None is every token's.
    """

    ids: Tensor
    positions: Tensor
    types: Tensor
    first: Tensor
    lengths: Tensor
    chosen: Tensor | None = None

    @classmethod
    def of(cls, batch: PackedBatch) -> PackedTensors:
        """Share the batch's memory."""
        ids, positions, types = (
            torch.from_numpy(part.reshape(-1)) for part in (batch.input_ids, batch.position_ids, batch.token_type_ids)
        )
        chosen = torch.from_numpy(batch.cells) if batch.reads == "chosen" else None
        return cls(ids, positions, types, torch.from_numpy(batch.first), torch.from_numpy(batch.lengths), chosen)


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """What one layer computed on its way, for losses that look inside.

    Attributes:
        query, key, value: (cells, heads·size).
        hidden: (cells, hidden), what the layer gives.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    hidden: Tensor


class PackedEncoder(nn.Module):
    """A Transformers encoder with a task's head, run over packed rows.

    The model stays an ordinary Transformers model: train through this, save that.

    Args:
        model: of a family in :data:`penjing.models.families.FAMILIES`, with a head of
            :data:`penjing.models.tasks.TASK_CLASSES`, or bare.
        embedding: how a bare one makes a vector of a text; its length is left as it comes.

    Raises:
        CheckpointError: another family, or another head.
    """

    def __init__(self, model: Any, embedding: Embedding | None = None) -> None:
        super().__init__()
        self.model, self.embedding = model, embedding
        self.parts: EncoderParts = encoder_parts(model)
        self.head = head_of(model, embedding)
        self.hidden_dropout = self.parts.dropout

    def leave_out_dead(self) -> None:
        """Walk without the heads and neurons that give nothing. For export: what is walked then is not trained."""
        self.parts = lean_parts(self.parts)
        modules = (getattr(layer, part) for layer in self.parts.layers for part in LayerParts.__slots__)
        self.walked = nn.ModuleList(module for module in modules if isinstance(module, nn.Module))

    @property
    def depth(self) -> int:
        """How many layers there are."""
        return len(self.parts.layers)

    def forward(
        self, batch: PackedTensors, *, after: tuple[int, Tensor] | None = None, trace: list[LayerTrace] | None = None
    ) -> Tensor:
        """Outputs (read cells, outputs): a row a sequence, or one a token, in the batch's own order.

        Args:
            batch: the cells.
            after: (n, hidden states (cells, hidden) after the first n layers), to start from there.
            trace: gets what every layer that is run computes; then the last one too is computed for all cells.
        """
        start, hidden = after or (0, self._embed(batch))
        read, attention = self._read(batch), self._by_segment(batch)
        spans = batch.lengths if self.head.reads == "mean" or self.head.averages else None
        if trace is None:
            return self.outputs(hidden, attention, read=read, spans=spans, start=start)
        for layer in self.parts.layers[start:]:
            hidden = self._layer(layer, hidden, attention, trace=trace)
        if read is not None and spans is not None:
            return self.head.outputs(means(hidden, read, spans))
        return self.head.outputs(hidden if read is None else hidden[read])

    def outputs(
        self, hidden: Tensor, attention: Attention, *, read: Tensor | None, spans: Tensor | None = None, start: int = 0
    ) -> Tensor:
        """From hidden states (cells, hidden) after ``start`` layers to the head's outputs.

        Args:
            hidden: of all cells.
            attention: how to stay inside segments.
            read: cells that the head reads; None is all of them, in their order.
            spans: how many cells from each of ``read`` on it reads the mean of; None is one.
            start: layers that are behind.
        """
        layers = self.parts.layers[start:]
        narrow = self.head.reads == "first" and read is not None and spans is None
        for layer in layers[:-1] if narrow else layers:
            hidden = self._layer(layer, hidden, attention)
        if narrow and layers:
            return self.head.outputs(self._layer(layers[-1], hidden, attention, only=read))
        if read is not None and spans is not None:
            return self.head.outputs(means(hidden, read, spans))
        return self.head.outputs(hidden if read is None else hidden[read])

    def hidden_after(self, layers: int, batch: PackedTensors) -> Tensor:
        """Hidden states (cells, hidden) after the first ``layers`` layers."""
        attention, hidden = self._by_segment(batch), self._embed(batch)
        for layer in self.parts.layers[:layers]:
            hidden = self._layer(layer, hidden, attention)
        return hidden

    def _read(self, batch: PackedTensors) -> Tensor | None:
        if self.head.reads == "chosen" and batch.chosen is not None:
            return batch.chosen
        if self.head.reads in ("first", "mean"):
            return batch.first
        tokens = torch.from_numpy(token_cells(batch.first.numpy(), batch.lengths.numpy()))
        return None if len(tokens) == len(batch.ids) and bool((tokens.diff() == 1).all()) else tokens

    def _by_segment(self, batch: PackedTensors) -> SegmentAttention:
        return SegmentAttention(batch.first, batch.lengths, cells=len(batch.ids), bias=self.parts.bias)

    def _embed(self, batch: PackedTensors) -> Tensor:
        return self._drop(self.parts.embed(batch.ids, batch.positions, batch.types))

    def _layer(
        self,
        layer: LayerParts,
        hidden: Tensor,
        attention: Attention,
        *,
        only: Tensor | None = None,
        trace: list[LayerTrace] | None = None,
    ) -> Tensor:
        query, key, value = None, layer.key(hidden), layer.value(hidden)
        heads = self.parts.heads if layer.kept is None else len(layer.kept)
        if heads == 0:
            context = hidden = hidden if only is None else hidden[only]  # no head reads it
        elif only is None:
            query = layer.query(hidden)
            context = attention(query, key, value, heads=heads, kept=layer.kept)
        else:
            context = attention.of_first(layer.query, hidden, key, value, first=only, heads=heads, kept=layer.kept)
            hidden = hidden[only]
        hidden = layer.attention_norm(self._drop(layer.attention_out(context)) + hidden)
        inner = layer.down(layer.activation(layer.up(hidden)))
        normed: Tensor = layer.output_norm(self._drop(inner) + hidden)
        if trace is not None and query is not None:
            trace.append(LayerTrace(query, key, value, normed))
        return normed

    def _drop(self, hidden: Tensor) -> Tensor:
        return functional.dropout(hidden, self.hidden_dropout, self.model.training)

    def freeze(self, layers: int) -> None:
        """Stop training the embeddings and the first ``layers`` layers (0 freezes nothing)."""
        if layers == 0:
            return
        frozen: list[nn.Module] = list(self.parts.before_layers)
        for layer in self.parts.layers[:layers]:
            frozen += [
                layer.query, layer.key, layer.value, layer.attention_out, layer.attention_norm,
                layer.up, layer.down, layer.output_norm,
            ]  # fmt: skip
        for module in frozen:
            module.requires_grad_(False)


def means(hidden: Tensor, cells: Tensor, spans: Tensor) -> Tensor:
    """Mean (read, hidden) of hidden states (cells, hidden) over ``spans`` cells from each of ``cells`` on.

    A product with a matrix of ones and zeros, which every engine has; beside the layers it costs
    next to nothing (docs/decisions/0009).
    """
    at = torch.arange(hidden.shape[0])[None]
    inside = (at >= cells[:, None]) & (at < (cells + spans)[:, None])
    with torch.autocast("cpu", enabled=False):
        return (inside.to(hidden.dtype) @ hidden) / spans[:, None].to(hidden.dtype)


def spans_of(segment_ids: Tensor, cells: Tensor) -> Tensor:
    """How many cells are of the same sequence as each of ``cells``: int64 (read,), from segment ids (rows, width)."""
    rows = torch.arange(segment_ids.shape[0])[:, None]
    sequence = (rows * (segment_ids.shape[1] + 1) + segment_ids).reshape(-1)
    return (sequence[cells][:, None] == sequence[None]).sum(dim=1)


class RowForward(nn.Module):
    """The form that is exported: plain inputs, rows kept, attention masked by segment."""

    def __init__(self, encoder: PackedEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, input_ids: Tensor, position_ids: Tensor, segment_ids: Tensor, token_type_ids: Tensor, *cells: Tensor
    ) -> Tensor:
        """Outputs (read, outputs) from what :data:`penjing.engines.base.INPUTS` names, in that order.

        The first four are int64 (rows, width). The others are (read,): cells, and spans for a head that takes means.
        """
        read, spans = cells[0], cells[1] if len(cells) > 1 else None
        if self.encoder.head.averages:
            spans = spans_of(segment_ids, read)
        attention = RowAttention(segment_ids, position_ids, bias=self.encoder.parts.bias)
        ids, positions, types = (part.reshape(-1) for part in (input_ids, position_ids, token_type_ids))
        hidden = self.encoder.parts.embed(ids, positions, types)
        return self.encoder.outputs(hidden, attention, read=read, spans=spans)


def padded_outputs(
    model: Any, sequences: list[Encoding], *, pad_id: int = 0, embedding: Embedding | None = None
) -> Tensor:
    """The slow reference: Transformers' own forward over a padded batch.

    Returns:
        (sequences, outputs), but (tokens of all sequences, outputs) for heads that read every token.
    """
    longest = max(len(sequence) for sequence in sequences)
    ids = torch.full((len(sequences), longest), pad_id)
    mask, types = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.from_numpy(sequence.ids)
        mask[row, : len(sequence)] = 1
        if sequence.type_ids is not None:
            types[row, : len(sequence)] = torch.from_numpy(sequence.type_ids)
    extra = {"token_type_ids": types} if bool(types.any()) else {}
    given = model(input_ids=ids, attention_mask=mask, **extra)
    if "logits" in given:
        logits: Tensor = given.logits
        return logits if logits.dim() == 2 else logits[mask.bool()]
    if "last_hidden_state" in given:
        hidden: Tensor = given.last_hidden_state
        if embedding and embedding.pooling == "first":
            return hidden[:, 0]
        return (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
    return torch.stack([given.start_logits, given.end_logits], dim=-1)[mask.bool()]
