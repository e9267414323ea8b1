"""A small real world for translation: number words between two made-up languages, and a Marian model to learn it."""

from __future__ import annotations

import random
from pathlib import Path

EN = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ZH = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"]
QUICK = {
    "training.epochs": "16",
    "training.batch_size": "16",
    "training.learning_rate": "5e-3",
    "training.dropout": "0",
    "training.threads": "1",
    "text.max_tokens": "24",
    "translation.beams": "2",
}


def rows(count: int, *, seed: int) -> list[tuple[str, str]]:
    """Distinct pairs: words of digits, and the same digits in Chinese."""
    rng, found = random.Random(seed), {}
    while len(found) < count:
        digits = [rng.randrange(10) for _ in range(rng.randrange(1, 6))]
        found[" ".join(EN[digit] for digit in digits)] = "".join(ZH[digit] for digit in digits)
    return list(found.items())


def write_files(folder: Path, *, train: int = 400, test: int = 30) -> None:
    """``train.en``, ``train.zh``, ``test.en``, ``test.zh``."""
    pairs = rows(train + test, seed=3)
    for name, some in (("train", pairs[:train]), ("test", pairs[train:])):
        for at, code in enumerate(("en", "zh")):
            (folder / f"{name}.{code}").write_text("".join(f"{pair[at]}\n" for pair in some), encoding="utf-8")


def make_checkpoint(path: Path) -> Path:
    """An untrained Marian model with a tokenizer of words and characters."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    from penjing.models.quiet import quiet_transformers

    pieces = ["</s>", "<unk>", "▁", *(f"▁{word}" for word in EN), *(f"▁{sign}" for sign in ZH), *ZH, "<pad>"]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0 if len(piece) > 1 else -2.0) for piece in pieces], 1))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens(["</s>", "<unk>", "<pad>"])
    config = transformers.MarianConfig(
        vocab_size=len(pieces), d_model=64, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=128, decoder_ffn_dim=128, max_position_embeddings=32, eos_token_id=0,
        bos_token_id=0, forced_eos_token_id=None, pad_token_id=len(pieces) - 1, decoder_start_token_id=len(pieces) - 1,
        scale_embedding=True, activation_function="relu", init_std=0.1,
    )  # fmt: skip
    torch.manual_seed(0)
    with quiet_transformers():
        model = transformers.MarianMTModel(config)
        with torch.no_grad():
            model.get_input_embeddings().weight[-1] = 0  # of the padding token, which a decoder begins with
        model.save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    return path
