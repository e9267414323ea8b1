"""The step of a pruning that needs torch, in a module of its own: loading torch takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.app.engine_files import exporting
from penjing.app.prepared import Part
from penjing.app.smaller_recipes import PruneCommand, WeightsRecipe
from penjing.app.targets import reach
from penjing.app.tasks import flow_of
from penjing.core.errors import DataError, UsageError
from penjing.core.nouns import Problem, Task
from penjing.core.progress import Progress
from penjing.models.checkpoint import Checkpoint
from penjing.models.loading import load_model, save_checkpoint
from penjing.models.packed import PackedEncoder
from penjing.models.surgery import empty_heads, keep_layers, keep_neurons, keep_tokens
from penjing.train.importance import head_importance, layer_importance, neuron_importance, weight_importance
from penjing.train.recipe import TrainingRecipe
from penjing.train.sparsity import layer_matrices, sparsity_of, zero_smallest
from penjing.train.training_set import Objective, TrainingSet

_FEWEST = 16  # calibration texts, below which importance is mere chance


def cut(
    command: PruneCommand,
    checkpoint: Checkpoint,
    task: Task,
    *,
    problem: Problem | None,
    calibration: Part,
    tokens: npt.NDArray[np.int64] | None,
    target: Path,
    progress: Progress,
) -> list[str]:
    """Write a smaller checkpoint; its tokenizer is still the old one.

    Args:
        command: what goes.
        checkpoint: what it starts from.
        task: of the model.
        problem: what text classification answers with.
        calibration: the training split.
        tokens: those that stay; None is all.
        target: where it goes.
        progress: where to show it.

    Returns:
        what was dropped, a sentence each.

    Raises:
        UsageError: more is to be kept than there is.
        GateRefusal: a target that cannot be kept.
    """
    model = load_model(checkpoint)
    some = _some_of(calibration, command)
    objective = flow_of(task, problem).objective(calibration, TrainingRecipe())
    told = _reached(command, checkpoint, model, some=some, objective=objective, progress=progress)
    told += _dropped(command, model, some, objective)
    if tokens is not None:
        told.append(f"{len(tokens):,} of {model.config.vocab_size:,} tokens are kept")
        keep_tokens(model, tokens)
    save_checkpoint(model, checkpoint.path, target)
    return told


def _reached(
    command: PruneCommand,
    checkpoint: Checkpoint,
    model: Any,
    *,
    some: TrainingSet,
    objective: Objective,
    progress: Progress,
) -> list[str]:
    """Let heads and neurons go for a target, where there is one."""
    if command.target is None:
        return []
    with exporting(command, checkpoint, model, texts=some.sequences) as exporter:
        return reach(command.target, model, some=some, objective=objective, exporter=exporter, progress=progress)


def _dropped(command: PruneCommand, model: Any, some: TrainingSet, objective: Objective) -> list[str]:
    """Let go what is asked for by number."""
    told = []
    if command.layers is not None:
        told.append(
            _drop_layers(model, command.layers, lambda: layer_importance(PackedEncoder(model), some, objective))
        )
    if command.heads is not None:
        told.append(_drop_heads(model, command.heads, head_importance(PackedEncoder(model), some, objective)))
    if command.neurons is not None:
        told.append(_drop_neurons(model, command.neurons, neuron_importance(PackedEncoder(model), some, objective)))
    if command.weights is not None:
        told.append(_drop_weights(PackedEncoder(model), command.weights, some, objective))
    return told


def _some_of(calibration: Part, command: PruneCommand) -> TrainingSet:
    rows = np.random.default_rng(command.seed).permutation(len(calibration.sequences))[: command.calibration_rows]
    if command.asks_texts and len(rows) < _FEWEST:
        raise DataError(
            f"{len(rows)} training texts to take importance on",
            expected=f"at least {_FEWEST}",
            do="Train on more, or choose what asks no texts: vocabulary, layers by number, weights.by=magnitude.",
        )
    weights = None if calibration.weights is None else calibration.weights[rows]
    targets: Any = calibration.targets
    chosen = targets[rows] if isinstance(targets, np.ndarray) else [targets[row] for row in rows]
    return TrainingSet([calibration.sequences[row] for row in rows], chosen, weights)


def _drop_layers(model: Any, wanted: int | Sequence[int], importance: Any) -> str:
    if isinstance(wanted, int):
        found = importance()
        if wanted > len(found):
            raise UsageError(f"{wanted} layers of a model of {len(found)}", expected=f"1 to {len(found)}")
        kept = sorted(np.argsort(-found, kind="stable")[:wanted].tolist())
    else:
        kept = [at - 1 for at in wanted]
    keep_layers(model, kept)
    return f"layers {', '.join(str(at + 1) for at in kept)} are kept"


def _drop_heads(model: Any, wanted: int, importance: npt.NDArray[np.float64]) -> str:
    if wanted > importance.size:
        raise UsageError(f"{wanted} heads of a model of {importance.size}", expected=f"1 to {importance.size}")
    stay = np.zeros(importance.size, bool)
    stay[np.argsort(-importance, axis=None, kind="stable")[:wanted]] = True
    of_layers = [np.flatnonzero(some) for some in stay.reshape(importance.shape)]
    empty_heads(model, of_layers)
    counts = ", ".join(str(len(some)) for some in of_layers)
    return f"{wanted} of {importance.size} attention heads are kept: {counts} by layer; the others are zeros, not run"


def _drop_weights(encoder: PackedEncoder, told: WeightsRecipe, some: TrainingSet, objective: Objective) -> str:
    matrices = layer_matrices(encoder)
    by_size = told.by == "magnitude"
    scores = [one.detach().abs() for one in matrices] if by_size else weight_importance(encoder, some, objective)
    zero_smallest(matrices, scores, share=told.share, scope=told.scope)
    there, all_there = sum(one.numel() for one in matrices), sum(one.numel() for one in encoder.model.parameters())
    return (
        f"{sparsity_of(matrices):.1%} of the {there:,} weights of the layers are zero, by {told.by}; the model has "
        f"{all_there:,}. Zeros make the files smaller that are stored sparsely, not the engine faster"
    )


def _drop_neurons(model: Any, wanted: int, importance: Sequence[npt.NDArray[np.float64]]) -> str:
    there = len(importance[0])
    if wanted > there:
        raise UsageError(f"{wanted} neurons of layers of {there}", expected=f"1 to {there}")
    kept = [np.sort(np.argsort(-found, kind="stable")[:wanted]) for found in importance]
    share = np.mean([found[rows].sum() / max(found.sum(), 1e-30) for found, rows in zip(importance, kept, strict=True)])
    keep_neurons(model, kept)
    return f"{wanted} of {there} neurons of each layer are kept, with {share:.1%} of their importance"
