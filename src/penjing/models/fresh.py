"""Models without a past: an architecture of a few numbers, weights drawn at random, as an ordinary checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from tokenizers import Tokenizer

from penjing.core.extras import require
from penjing.core.nouns import Frozen
from penjing.models.quiet import quiet_transformers
from penjing.tokens.learning import special_names

_BEFORE = 1  # RoBERTa's positions begin after its padding token's number, here 0
_ENCODERS = ("bert", "roberta", "distilbert")


class ArchitectureRecipe(Frozen):
    """The size of a model that is trained from scratch.

    Attributes:
        family: bert, roberta or distilbert to guess masked tokens; gpt2 or llama to go on from the left.
        layers, hidden, heads: of the transformer; ``hidden`` is a multiple of ``heads``.
        feed_forward: width inside a layer; None is four times ``hidden``.
        positions: the longest sequence.
        dropout: on hidden states.
    """

    family: Literal["bert", "roberta", "distilbert", "gpt2", "llama"] = "bert"
    layers: int = Field(4, ge=1, le=200)
    hidden: int = Field(256, ge=8, le=16384)
    heads: int = Field(4, ge=1, le=256)
    feed_forward: int | None = Field(None, ge=8)
    positions: int = Field(512, ge=8, le=1 << 17)
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is no multiple of heads {self.heads}")
        return self

    @property
    def is_causal(self) -> bool:
        """Whether it goes on from the left."""
        return self.family not in _ENCODERS


def write_fresh_checkpoint(target: Path, recipe: ArchitectureRecipe, tokenizer: Tokenizer, *, seed: int) -> None:
    """A checkpoint with random weights and a tokenizer, as Transformers opens it.

    Args:
        target: a directory.
        recipe: the size.
        tokenizer: learnt for it.
        seed: of the weights.
    """
    transformers, torch = require("transformers", extra="train"), require("torch", extra="train")
    torch.manual_seed(seed)
    config = _config(transformers, recipe, tokenizer)
    kind = transformers.AutoModelForCausalLM if recipe.is_causal else transformers.AutoModelForMaskedLM
    with quiet_transformers():
        kind.from_config(config).save_pretrained(target)
    write_tokenizer(target, tokenizer, max_tokens=recipe.positions)


def write_tokenizer(target: Path, tokenizer: Tokenizer, *, max_tokens: int) -> None:
    """A learnt tokenizer as Transformers opens it."""
    transformers = require("transformers", extra="train")
    named = special_names(tokenizer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_tokens, **named)
    fast.save_pretrained(target)


def _config(transformers: Any, recipe: ArchitectureRecipe, tokenizer: Tokenizer) -> Any:
    named = special_names(tokenizer)
    ids = {name.replace("token", "token_id"): tokenizer.token_to_id(written) for name, written in named.items()}
    special = {name: ids.get(name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    size, inner = tokenizer.get_vocab_size(with_added_tokens=True), recipe.feed_forward or 4 * recipe.hidden
    usual = {
        "vocab_size": size, "hidden_size": recipe.hidden, "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads, "intermediate_size": inner, **special,
    }  # fmt: skip
    drops = {"hidden_dropout_prob": recipe.dropout, "attention_probs_dropout_prob": recipe.dropout}
    by_family: dict[str, dict[str, Any]] = {
        "bert": usual | drops | {"max_position_embeddings": recipe.positions},
        "roberta": usual | drops | {
            "max_position_embeddings": recipe.positions + _BEFORE, "type_vocab_size": 2,
        },
        "distilbert": {
            "vocab_size": size, "dim": recipe.hidden, "n_layers": recipe.layers, "n_heads": recipe.heads,
            "hidden_dim": inner, "dropout": recipe.dropout, "attention_dropout": recipe.dropout,
            "max_position_embeddings": recipe.positions, "pad_token_id": special["pad_token_id"],
        },
        "gpt2": {
            "vocab_size": size, "n_embd": recipe.hidden, "n_layer": recipe.layers, "n_head": recipe.heads,
            "n_inner": inner, "n_positions": recipe.positions, "resid_pdrop": recipe.dropout,
            "embd_pdrop": recipe.dropout, "attn_pdrop": 0.0, **special,
        },
        "llama": usual | {"max_position_embeddings": recipe.positions, "tie_word_embeddings": True},
    }  # fmt: skip
    return transformers.AutoConfig.for_model(recipe.family, **by_family[recipe.family])
