"""A causal language model over packed rows: the forward pass of its training.

Promise: the same outputs as Transformers' own padded forward, to rounding, for every family of
:data:`DECODERS`; a test holds that in float64, gradients too. No padding token is computed outside attention,
and the vocabulary's matrix, half the work of a small model, is applied to those cells alone that are read.

Trade: the layers are Transformers' own, called with our attention, where encoders are walked by hand
(decision 5): every decoder family has another layer, all of them take an attention function and positions,
and nothing is gained in the last layer, which is read at most tokens. Dropout inside attention is left out.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from penjing.core.nouns import Embedding
from penjing.models.attention import SegmentLayout
from penjing.models.causal import IMPLEMENTATION, attend
from penjing.models.families import unknown_family
from penjing.models.heads import Head
from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.models.translator import MOST_LOGITS, GroupedTranslator

# Model type → the list of layers in the base model.
DECODERS: dict[str, str] = {
    "gemma": "layers",
    "gemma2": "layers",
    "gemma3_text": "layers",
    "gpt2": "h",
    "llama": "layers",
    "mistral": "layers",
    "qwen2": "layers",
    "qwen3": "layers",
    "smollm3": "layers",
}
WITHOUT_SDPA = ("gemma2",)  # whose own forward bounds scores, which the fused kernel cannot
_LAST = ("norm", "ln_f")  # what a base model does after its layers


class PackedDecoder(nn.Module):
    """A Transformers causal language model, run over packed rows.

    The model stays an ordinary Transformers model: train through this, save that.

    Args:
        model: of a family in :data:`DECODERS`, with its vocabulary head.

    Raises:
        CheckpointError: another family.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        kind = model.config.model_type
        if kind not in DECODERS:
            raise unknown_family(kind, DECODERS)
        from transformers import AttentionInterface  # late: it takes seconds

        AttentionInterface.register(IMPLEMENTATION, attend)
        self.model = model
        self.head = Head("chosen", self.logits)
        self.hidden_dropout = 0.0  # all of it is in the model's own modules

    @property
    def layers(self) -> nn.ModuleList:
        """From the input to the output."""
        layers: nn.ModuleList = getattr(self.model.base_model, DECODERS[self.model.config.model_type])
        return layers

    @property
    def depth(self) -> int:
        """How many layers there are."""
        return len(self.layers)

    @property
    def most_tokens(self) -> int:
        """Of a pass: what keeps its logits, and what the loss makes of them, within some 2 GB."""
        return max(128, MOST_LOGITS // int(self.model.config.vocab_size))

    def forward(self, batch: PackedTensors, *, after: tuple[int, Tensor] | None = None) -> Tensor:
        """Logits (read cells, vocabulary) of the token after each cell that is read.

        Args:
            batch: the cells; ``chosen`` says which are read, None is all.
            after: None; no layer is left out.
        """
        del after
        hidden = self.hidden(batch)
        return self.logits(hidden if batch.chosen is None else hidden.index_select(0, batch.chosen))

    def hidden(self, batch: PackedTensors) -> Tensor:
        """Hidden states (cells, hidden) after the last norm."""
        segments = SegmentLayout(batch.first, batch.lengths, cells=len(batch.ids))
        config = self.model.config
        before, config._attn_implementation = config._attn_implementation, IMPLEMENTATION
        embedded = self.model.get_input_embeddings()(batch.ids[None])  # of ids, GPT-2 warns that no mask is given
        try:
            found = self.model.base_model(
                inputs_embeds=embedded, position_ids=batch.positions[None], use_cache=False, segments=segments
            )
        finally:
            config._attn_implementation = before
        states: Tensor = found.last_hidden_state[0]
        return states

    def logits(self, hidden: Tensor) -> Tensor:
        """The vocabulary head over hidden states (read, hidden), bounded where the family bounds its logits."""
        logits: Tensor = self.model.get_output_embeddings()(hidden)
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return logits if cap is None else functional.tanh(logits / cap) * cap

    def freeze(self, layers: int) -> None:
        """Stop training the embeddings and the first ``layers`` layers (0 freezes nothing).

        A vocabulary head that shares the embeddings' matrix is then not trained either.
        """
        if layers == 0:
            return
        inside = {id(weight) for weight in self.layers.parameters()}
        norm = {id(weight) for name, weight in self.model.base_model.named_parameters() if name.split(".")[0] in _LAST}
        for weight in self.model.base_model.parameters():
            if id(weight) not in inside | norm:
                weight.requires_grad_(False)
        for layer in self.layers[:layers]:
            layer.requires_grad_(False)


PackedModel = PackedEncoder | PackedDecoder | GroupedTranslator


def packed_model(model: Any, embedding: Embedding | None = None) -> PackedModel:
    """The packed form of a Transformers model: what is trained.

    Args:
        model: of a family that is known.
        embedding: how a bare encoder makes a vector of a text.
    """
    if model.config.is_encoder_decoder:
        return GroupedTranslator(model)
    return PackedDecoder(model) if model.config.model_type in DECODERS else PackedEncoder(model, embedding)
