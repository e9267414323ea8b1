"""A small causal language model with a tokenizer of bytes: every Chinese character and emoji is several tokens."""

from __future__ import annotations

from pathlib import Path

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SETTINGS = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 96, "max_position_embeddings": 256,
}  # fmt: skip
GPT2 = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256}


def make_decoder(path: Path, *, family: str = "llama", seed: int = 0, scale: float = 5.0) -> Path:
    """Write a checkpoint as Transformers saves it; its weights are random, and large enough to say many things.

    Args:
        path: where to.
        family: ``llama`` or ``gpt2``.
        seed: of the weights.
        scale: of the weights over Transformers' own; 1 is best to learn from.
    """
    import torch
    import transformers

    from penjing.models.quiet import quiet_transformers

    tokenizer = byte_tokenizer()
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    settings = dict(GPT2 if family == "gpt2" else SETTINGS)
    config = transformers.AutoConfig.for_model(
        family, vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=end, pad_token_id=0, **settings
    )
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with quiet_transformers(), torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(scale)
        model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def byte_tokenizer() -> object:
    """A byte-level BPE tokenizer without merges but for a few words, with ChatML's tokens and template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("Ġ", "a")]
    pieces = [*SPECIAL, *letters, *("".join(merge) for merge in merges)]
    plain = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        unk_token=SPECIAL[0],
        bos_token=SPECIAL[0],
        eos_token=SPECIAL[2],
        pad_token=SPECIAL[0],
        additional_special_tokens=[SPECIAL[1]],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
