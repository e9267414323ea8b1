"""The steps of a pretraining that need torch, in a module of their own: loading torch takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt
import torch

from penjing.app.corpus import Corpus
from penjing.app.prepared import Part
from penjing.app.pretrain_recipe import PretrainRecipe
from penjing.app.tasks import Judgement, flow_of
from penjing.core.progress import Progress
from penjing.models.decoder import PackedDecoder, PackedModel, packed_model
from penjing.models.loading import load_model, save_checkpoint
from penjing.models.packed import PackedTensors
from penjing.tokens import Encoding, PackedBatch, pack_flat
from penjing.tokens.masking import Masker, read_vocabulary
from penjing.train.language import masked_set, next_token_set, token_loss
from penjing.train.loop import TrainingResult, train
from penjing.train.recipe import TrainingRecipe
from penjing.train.state import StateDirectory
from penjing.train.step import OnStep, unheard
from penjing.train.training_set import TrainingSet

Floats = npt.NDArray[np.float32]


def pretrain_checkpoint(
    recipe: PretrainRecipe, corpus: Corpus, *, target: Path, on_step: OnStep = unheard, progress: Progress
) -> tuple[Judgement, TrainingResult]:
    """Judge the model that training begins with, train it, and write the checkpoint.

    Returns:
        how well the beginning foresees the held-out text, and what the run did.
    """
    torch.manual_seed(recipe.seed)  # the first weights of a head that the checkpoint lacks
    model = load_model(corpus.start, recipe.task)
    packed = packed_model(model)
    before = flow_of(recipe.task).judge(
        TorchEngine(packed), corpus.test, (), decoding={}, name="Judging the beginning", progress=progress
    )
    states = None if recipe.training.save_every_s is None else StateDirectory(corpus.states, run_id=corpus.states.name)
    trained = train(
        packed,
        _training_set(recipe, corpus),
        token_loss,
        recipe=_within(packed, recipe.training),
        seed=recipe.seed,
        validation=_looked_at(corpus.validation) if corpus.validation else None,
        states=states,
        on_step=on_step,
        progress=progress,
    )
    save_checkpoint(model, corpus.start.path, target)
    return before, trained


def _training_set(recipe: PretrainRecipe, corpus: Corpus) -> TrainingSet:
    if recipe.objective == "clm":
        return next_token_set(corpus.sequences, lengths=corpus.sequences.lengths)
    masker = Masker(read_vocabulary(corpus.start.tokenizer), recipe.masking)
    return masked_set(corpus.sequences, masker, seed=recipe.seed, lengths=corpus.sequences.lengths)


def _looked_at(part: Part) -> TrainingSet:
    return TrainingSet(part.sequences, part.targets, "targets")


def _within(packed: PackedModel, told: TrainingRecipe) -> TrainingRecipe:
    """The recipe with passes that the model takes."""
    if not isinstance(packed, PackedDecoder):
        return told
    return told.model_copy(update={"pass_tokens": min(told.pass_tokens, packed.most_tokens)})


@final
class TorchEngine:
    """What a flow judges by, of a model that has not been exported: an Engine, or of a model that writes a scorer."""

    name, instances = "torch", 1

    def __init__(self, packed: PackedModel) -> None:
        self._packed = packed

    def run(self, batch: PackedBatch) -> Floats:
        """See :meth:`penjing.engines.Engine.run`. A padding cell goes through the layers and is read by nobody."""
        with torch.no_grad():
            logits: Floats = self._packed(PackedTensors.of(batch)).float().numpy()
        return logits

    def score(self, sequences: Sequence[Sequence[int]]) -> list[Floats]:
        """See :meth:`penjing.engines.Generator.score`: log-probabilities of all tokens but the first."""
        found = []
        for ids in sequences:
            own = np.array(ids, np.int64)
            batch = pack_flat([Encoding(own, chosen=np.arange(len(own) - 1))], reads="chosen")
            with torch.no_grad():
                shares = torch.log_softmax(self._packed(PackedTensors.of(batch)).float(), dim=-1)
            found.append(shares.numpy()[np.arange(len(own) - 1), own[1:]])
        return found

    def close(self) -> None:
        """See :meth:`penjing.engines.Engine.close`."""
