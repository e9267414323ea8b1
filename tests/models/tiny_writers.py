"""Tiny random decoders and encoder-decoders, sharp enough that a mistake changes what they write."""

from pathlib import Path

import torch
import transformers

from penjing.models.quiet import quiet_transformers

VOCABULARY = 96
_ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_SIDES = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 40,
    "decoder_start_token_id": 2,
}
_LLAMA = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
_SETTINGS = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40},
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA | {"head_dim": 8},
    "gemma": _LLAMA | {"head_dim": 8},
    "gemma3_text": _LLAMA | {"head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8},
    "marian": _SIDES | {"pad_token_id": VOCABULARY - 1, "decoder_start_token_id": VOCABULARY - 1},
    "m2m_100": _SIDES
    | {"bos_token_id": 0, "pad_token_id": 1, "decoder_start_token_id": 0},  # its positions count from its padding id
    "t5": {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0},
}
DECODERS = ("gpt2", "llama", "qwen2", "qwen3", "gemma", "gemma3_text")
ENCODER_DECODERS = ("marian", "m2m_100", "t5")


def tiny_writer(family: str, *, seed: int = 0, **settings: object) -> torch.nn.Module:
    """A model in fp32 and in evaluation mode."""
    torch.manual_seed(seed)
    chosen = {"vocab_size": VOCABULARY, **_ENDS, **_SETTINGS[family], **settings}
    config = transformers.AutoConfig.for_model(family, **chosen)
    kind = transformers.AutoModelForCausalLM if family in DECODERS else transformers.AutoModelForSeq2SeqLM
    model = kind.from_config(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "embed_positions" not in name:
                weight.mul_(4.0)
        for name, weight in model.named_parameters():
            if family == "marian" and name.endswith("shared.weight"):
                weight[-1] = 0  # of the padding token, which a decoder begins with
    return model


def write_tiny_writer(path: Path, family: str, **settings: object) -> Path:
    """Its checkpoint, without a tokenizer."""
    with quiet_transformers():
        tiny_writer(family, **settings).save_pretrained(path)
    return path
