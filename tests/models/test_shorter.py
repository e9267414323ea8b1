"""Fewer layers of models that write: an ordinary checkpoint of the same class, which Transformers opens."""

from __future__ import annotations

import pytest
import torch
import transformers

from penjing.core.errors import UsageError
from penjing.models.quiet import quiet_transformers
from penjing.models.shorter import keep_spread_layers

SIZES = {
    "marian": {"vocab_size": 40, "d_model": 16, "encoder_layers": 4, "decoder_layers": 4, "encoder_ffn_dim": 32,
               "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "pad_token_id": 39,
               "decoder_start_token_id": 39, "eos_token_id": 0, "forced_eos_token_id": None},
    "t5": {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 4, "num_decoder_layers": 4,
           "num_heads": 2, "decoder_start_token_id": 0},
    "llama": {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4,
              "num_attention_heads": 2},
    "qwen3": {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4, "head_dim": 8,
              "num_attention_heads": 2, "num_key_value_heads": 2},
    "gpt2": {"vocab_size": 40, "n_embd": 16, "n_layer": 4, "n_head": 2},
}  # fmt: skip


@pytest.mark.parametrize("family", SIZES)
def test_it_opens_in_transformers_with_the_same_outputs(family, tmp_path):
    config = transformers.AutoConfig.for_model(family, **SIZES[family])
    writes = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    torch.manual_seed(0)
    with quiet_transformers():
        model = writes.from_config(config).eval()
        keep_spread_layers(model, 2)
        model.save_pretrained(tmp_path)
        again = writes.from_pretrained(tmp_path).eval()
    ids = torch.arange(1, 8)[None]
    more = {"use_cache": False} | ({"decoder_input_ids": ids} if config.is_encoder_decoder else {})
    with torch.no_grad():
        assert torch.allclose(model(ids, **more).logits, again(ids, **more).logits, atol=1e-6)
    assert sum(weight.numel() for weight in again.parameters()) == sum(weight.numel() for weight in model.parameters())
    with pytest.raises(UsageError, match="3 layers of a model of 2"):
        keep_spread_layers(model, 3)
