"""Tiny random models of every supported family, and random sequences to feed them."""

import numpy as np
import torch
import transformers

from penjing.core.nouns import Task
from penjing.models.tasks import TASK_CLASSES
from penjing.tokens import Encoding

VOCABULARY = 99

_SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 80,
    "num_labels": 5,
}
_DISTIL = {"vocab_size": VOCABULARY, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "num_labels": 5}


def tiny_model(
    family: str, task: Task = Task.TEXT_CLASSIFICATION, *, dtype: torch.dtype = torch.float64, seed: int = 0
) -> torch.nn.Module:
    """A model with a task's head and with weights large enough that a mistake shows."""
    torch.manual_seed(seed)
    settings = dict(_DISTIL if family == "distilbert" else _SMALL)
    if family == "electra":
        settings["embedding_size"] = 24
    if family in ("roberta", "xlm-roberta", "camembert"):
        settings["type_vocab_size"] = 2
    config = transformers.AutoConfig.for_model(family, **settings)
    if task is Task.QUESTION_ANSWERING:
        config.num_labels = 2
    model = getattr(transformers, TASK_CLASSES[task][1]).from_config(config).to(dtype).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3.0) if weight.dim() > 1 else weight.add_(torch.randn_like(weight) * 0.1)
    return model


def random_sequences(lengths: list[int], *, pairs: bool = False, seed: int = 0) -> list[Encoding]:
    """Ids in 5..VOCABULARY−1, so that no special token is hit by chance."""
    rng = np.random.default_rng(seed)
    made = []
    for length in lengths:
        types = (np.arange(length) >= length // 2).astype(np.int64) if pairs and length > 1 else None
        made.append(Encoding(rng.integers(5, VOCABULARY, length), types))
    return made


_DECODER = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "max_position_embeddings": 80,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_GPT2 = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 80, "bos_token_id": 1,
         "eos_token_id": 2}  # fmt: skip


def tiny_decoder(family: str, *, dtype: torch.dtype = torch.float64, seed: int = 0, **told: object) -> torch.nn.Module:
    """A causal language model with weights large enough that a mistake shows."""
    torch.manual_seed(seed)
    settings = dict(_GPT2 if family == "gpt2" else _DECODER) | told
    if family.startswith("gemma") and family != "gemma":
        settings |= {"sliding_window": 6, "query_pre_attn_scalar": 16}
    if family == "qwen2" and told:
        settings["max_window_layers"] = 1
    config = transformers.AutoConfig.for_model(family, **settings)
    model = transformers.AutoModelForCausalLM.from_config(config).to(dtype).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(5.0) if weight.dim() > 1 else weight.add_(torch.randn_like(weight) * 0.1)
    return model
