"""An encoder-decoder in training: pairs of source and target laid out as one sequence each, run with little padding.

A pair is an :class:`~penjing.tokens.Encoding` whose tokens of type 0 are the source and of type 1 what the decoder
reads; ``chosen`` are the latter's places, where an output is wanted. So the loop counts, splits and packs pairs as it
does texts.

Promise: outputs, loss and gradients are those of Transformers' own padded forward, to rounding, but for Marian's
padding row, which stays zero; a test holds that in float64. The vocabulary's matrix, half the work of a small model,
is applied to real tokens alone.

Trade: inside a pass, pairs of like length are run together, padded to the longest of them, instead of in packed
rows: relative positions (T5) and three kinds of attention would each need their own walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from penjing.core.errors import CheckpointError
from penjing.models.heads import Head
from penjing.models.packed import PackedTensors

TRANSLATORS = ("marian", "t5", "mt5", "m2m_100", "mbart", "bart")
_WASTE = 0.1  # of a group's cells that may be padding
MOST_LOGITS = 1 << 27
_ENOUGH = 512  # tokens; smaller groups cost more in calls than padding does


class GroupedTranslator(nn.Module):
    """A Transformers encoder-decoder, run over pairs.

    Args:
        model: of a family in :data:`TRANSLATORS`.

    Raises:
        CheckpointError: another family.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        kind = model.config.model_type
        if kind not in TRANSLATORS:
            raise CheckpointError(
                f"model type {kind!r} does not translate", expected=f"one of {', '.join(TRANSLATORS)}"
            )
        self.model = model
        self.head = Head("chosen", self._outputs)
        self.hidden_dropout = 0.0  # all of it is in the model's own modules
        if kind == "marian":
            model.get_input_embeddings().weight.register_hook(partial(_without_row, model.config.pad_token_id))

    @property
    def depth(self) -> int:
        """How many layers the encoder has."""
        return len(self.layers)

    @property
    def most_tokens(self) -> int:
        """Of a pass: what keeps its logits, and what the loss makes of them, within some 2 GB."""
        return max(128, MOST_LOGITS // int(self.model.config.vocab_size))

    @property
    def layers(self) -> nn.ModuleList:
        """The encoder's."""
        encoder = self.model.get_encoder()
        return encoder.block if hasattr(encoder, "block") else encoder.layers  # type: ignore[no-any-return]

    def freeze(self, layers: int) -> None:
        """Stop training the embeddings and the encoder's first ``layers`` layers (0 freezes nothing)."""
        if layers == 0:
            return
        self.model.get_input_embeddings().requires_grad_(False)
        for layer in self.layers[:layers]:
            layer.requires_grad_(False)

    def forward(self, batch: PackedTensors, *, after: tuple[int, Tensor] | None = None) -> Tensor:
        """Outputs (target tokens of all pairs, vocabulary), pair by pair in the batch's order.

        Args:
            batch: the pairs, one sequence each.
            after: None; no layer is left out.
        """
        del after
        ends = batch.first + batch.lengths
        spans = [(int(begin), int(end)) for begin, end in zip(batch.first, ends, strict=True)]
        targets = [int(batch.types[begin:end].sum()) for begin, end in spans]
        pairs = [
            (batch.ids[begin : end - count], batch.ids[end - count : end])
            for (begin, end), count in zip(spans, targets, strict=True)
        ]
        taught = [row for row, count in enumerate(targets) if count]
        hidden: list[Tensor] = [self.model.lm_head.weight.new_zeros(0, self.model.config.d_model)] * len(pairs)
        for some in groups([(len(pairs[row][0]), len(pairs[row][1])) for row in taught]):
            rows = [taught[one] for one in some]
            states = self._states([pairs[row] for row in rows])
            for row, own in zip(rows, states, strict=True):
                hidden[row] = own[: targets[row]]
        return self._outputs(torch.cat(hidden))

    def _states(self, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The decoder's last hidden states (pairs, longest target, hidden)."""
        pad = int(self.model.config.pad_token_id or 0)
        sources, targets = ([pair[side] for pair in pairs] for side in (0, 1))
        given = {
            "input_ids": pad_sequence(sources, batch_first=True, padding_value=pad),
            "attention_mask": _mask(sources),
            "decoder_input_ids": pad_sequence(targets, batch_first=True, padding_value=pad),
            "decoder_attention_mask": _mask(targets),
        }
        base = self.model if self.model.config.model_type in ("t5", "mt5") else self.model.model
        if base is self.model:  # T5 keeps encoder and decoder on the model itself
            encoded = base.encoder(input_ids=given["input_ids"], attention_mask=given["attention_mask"])
            decoded = base.decoder(
                input_ids=given["decoder_input_ids"],
                attention_mask=given["decoder_attention_mask"],
                encoder_hidden_states=encoded.last_hidden_state,
                encoder_attention_mask=given["attention_mask"],
                use_cache=False,
            )
            states: Tensor = decoded.last_hidden_state
            return states * self.model.config.d_model**-0.5 if self.model.config.scale_decoder_outputs else states
        last: Tensor = base(**given, use_cache=False).last_hidden_state
        return last

    def _outputs(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.model.lm_head(hidden)
        bias = getattr(self.model, "final_logits_bias", None)
        return logits if bias is None else logits + bias.to(logits.dtype)


def _without_row(row: int, gradient: Tensor) -> Tensor:
    """A gradient with a row of zeros: a Marian decoder begins with the padding token, whose embedding is zero for good.

    Engines count on that; as an output of the vocabulary's shared matrix it would be trained away from it.
    """
    kept = gradient.clone()
    kept[row] = 0
    return kept


def groups(lengths: list[tuple[int, int]]) -> Iterator[list[int]]:
    """Pairs of like length together: rows, by (source, target) lengths, with little padding in each group."""
    group: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda one: (sum(lengths[one]), lengths[one])):
        grown = [*group, row]
        padded = len(grown) * sum(max(lengths[one][side] for one in grown) for side in (0, 1))
        real = sum(sum(lengths[one]) for one in grown)
        if group and padded - real > _WASTE * padded and sum(sum(lengths[one]) for one in group) >= _ENOUGH:
            yield group
            grown = [row]
        group = grown
    if group:
        yield group


def _mask(rows: list[Tensor]) -> Tensor:
    return pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
