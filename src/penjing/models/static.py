"""A static student: the mean of its tokens' embeddings, and a small head. No layers, so it costs next to nothing.

It is a EuroBERT without layers, whose classifier pools by the mean: an ordinary checkpoint, which opens in
Transformers, trains in the one loop and is exported like any other. Its embeddings begin as what the teacher makes of
each token alone, brought down to a few numbers by the principal components; so tokens that the training texts lack mean
something too.

Trade: no order of words. "Not good" is the mean of "not" and "good".

Source: the start from a teacher's tokens is Model2Vec's (MinishLab/model2vec, ``distill``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import Tensor

from penjing.core.errors import UsageError
from penjing.core.progress import Progress
from penjing.models.checkpoint import Checkpoint
from penjing.models.families import STATIC
from penjing.models.loading import load_model, save_checkpoint
from penjing.models.packed import PackedEncoder, PackedTensors, means
from penjing.models.quiet import quiet_transformers
from penjing.tokens import Encoding, TextEncoder, pack_flat

_TOKENS_A_PASS = 512
_SCALE = 0.5  # root mean square of the embeddings at first
# So much is added to the mean square of an embedding before it is normed by its root: with little, every token would
# weigh alike; with 1 an embedding of small numbers weighs little.
_NORM_EPS = 1.0


def write_static_checkpoint(
    teacher: Checkpoint, target: Path, *, labels: Sequence[str], width: int, seed: int, progress: Progress
) -> None:
    """Write the checkpoint that a static student starts from.

    Args:
        teacher: whose tokenizer it has, and whose view of single tokens it begins with.
        target: a new directory.
        labels: of the head, which is new.
        width: numbers in an embedding; at most the teacher's own.
        seed: of the head's first weights.
        progress: where to show it.

    Raises:
        UsageError: wider than the teacher.
    """
    vectors = _token_vectors(teacher, progress)
    if width > vectors.shape[1]:
        raise UsageError(f"a static student of width {width}", expected=f"at most {vectors.shape[1]}, the teacher's")
    reduced = principal(vectors, width)
    torch.manual_seed(seed)
    with quiet_transformers():
        model = transformers.AutoModelForSequenceClassification.from_config(
            _config(teacher, labels, tokens=len(reduced), width=width)
        )
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(reduced)
    save_checkpoint(model, teacher.path, target)


def _config(teacher: Checkpoint, labels: Sequence[str], *, tokens: int, width: int) -> Any:
    return transformers.AutoConfig.for_model(
        STATIC,
        vocab_size=tokens,
        hidden_size=width,
        intermediate_size=width,
        num_hidden_layers=0,
        num_attention_heads=1,
        max_position_embeddings=teacher.max_tokens,
        rms_norm_eps=_NORM_EPS,
        initializer_range=width**-0.5,
        classifier_pooling="mean",
        pad_token_id=teacher.pad_id,
        bos_token_id=None,
        eos_token_id=None,
        mask_token_id=0,
        id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)},
    )


def principal(vectors: Tensor, width: int) -> Tensor:
    """Vectors (rows, hidden) from their mean, in their first ``width`` principal components, of one scale in all."""
    centred = (vectors - vectors.mean(dim=0)).double()
    _, directions = torch.linalg.eigh(centred.T @ centred)  # by rising variance
    reduced = centred @ directions.flip(1)[:, :width]
    scaled: Tensor = (reduced * (_SCALE / reduced.square().mean().sqrt().clamp_min(1e-12))).float()
    return scaled


def _token_vectors(teacher: Checkpoint, progress: Progress) -> Tensor:
    """What the teacher's last layer makes of each token alone, float32 (vocabulary, hidden)."""
    encoder = PackedEncoder(load_model(teacher))
    tokens = int(encoder.model.get_input_embeddings().weight.shape[0])
    around = TextEncoder(teacher.tokenizer, max_tokens=8).encode(["a"])[0].ids
    found = torch.empty((tokens, int(encoder.model.config.hidden_size)))
    with torch.no_grad(), progress.stage("Asking the teacher for its tokens", total=tokens) as stage:
        for at in range(0, tokens, _TOKENS_A_PASS):
            some = range(at, min(at + _TOKENS_A_PASS, tokens))
            batch = PackedTensors.of(pack_flat([_amid(around, one) for one in some]))
            hidden = encoder.hidden_after(encoder.depth, batch).float()
            found[some.start : some.stop] = means(hidden, batch.first, batch.lengths)
            stage.advance(len(some))
    return found


def _amid(around: npt.NDArray[np.int64], token: int) -> Encoding:
    """A token between the special ones that a text has around it, if any."""
    ids = around.copy()
    ids[len(ids) // 2] = token
    return Encoding(ids)
