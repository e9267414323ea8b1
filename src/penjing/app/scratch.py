"""A translation model from nothing: a tokenizer trained on the training split, and a Marian model of random weights.

Promise: it is an ordinary checkpoint, which Transformers opens; training it goes on after a kill with the very same
tokenizer. Trade: the tokenizers' trainer settles ties by chance, so that two runs differ in a few pieces.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from penjing.app.recipes import FinetuneRecipe, ScratchRecipe
from penjing.core.errors import DataError
from penjing.core.extras import require
from penjing.core.files import staged_directory
from penjing.models.quiet import quiet_transformers

_POSITIONS = 512


def scratch_checkpoint(recipe: FinetuneRecipe, texts: Iterable[str], target: Path) -> Path:
    """Write a checkpoint into ``target`` unless there is one.

    Args:
        recipe: with the size of the model, its seed and its dropout.
        texts: of both languages, for the tokenizer.
        target: appears whole or not at all.

    Raises:
        DataError: the texts are too few for a tokenizer.
    """
    size = recipe.scratch or ScratchRecipe()
    if not target.is_dir():
        with staged_directory(target) as draft:
            ids = _write_tokenizer(size, texts, draft)
            dropout = 0.1 if recipe.training.dropout is None else recipe.training.dropout
            _write_model(size, draft, ids=ids, seed=recipe.seed, dropout=dropout)
    return target


def _write_tokenizer(recipe: ScratchRecipe, texts: Iterable[str], folder: Path) -> int:
    """Number of its ids, the padding token last, as Marian's engine wants it."""
    tokenizer = Tokenizer(models.Unigram())
    # Not NFKC: a translation would have "," and "!" where Chinese has "，" and "！".
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=recipe.vocabulary - 1,
        special_tokens=["</s>", "<unk>"],
        show_progress=False,
        unk_token="<unk>",  # noqa: S106  (no password)
    )
    try:
        tokenizer.train_from_iterator(texts, trainer)
    except Exception as error:  # the Rust side raises plain Exception
        raise DataError(f"no tokenizer can be trained on these texts: {error}", expected="some more text") from error
    tokenizer.add_special_tokens(["<pad>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    return int(tokenizer.get_vocab_size(with_added_tokens=True))


def _write_model(recipe: ScratchRecipe, folder: Path, *, ids: int, seed: int, dropout: float) -> None:
    transformers, torch = require("transformers", extra="train"), require("torch", extra="train")
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (
            ("layers", recipe.layers), ("attention_heads", recipe.heads), ("ffn_dim", 4 * recipe.width),
        )
    }  # fmt: skip
    config = transformers.MarianConfig(
        vocab_size=ids, d_model=recipe.width, max_position_embeddings=_POSITIONS, eos_token_id=0, bos_token_id=0,
        forced_eos_token_id=None, pad_token_id=ids - 1, decoder_start_token_id=ids - 1, scale_embedding=True,
        activation_function="relu", dropout=dropout, init_std=recipe.width**-0.5 / 2, **sides,
    )  # fmt: skip
    torch.manual_seed(seed)
    with quiet_transformers():
        model = transformers.MarianMTModel(config)
        with torch.no_grad():
            model.get_input_embeddings().weight[-1] = 0  # of the padding token, which a decoder begins with
        model.save_pretrained(folder)
