"""The process that lays a checkpoint's weights out plainly: ``penjing.export.weights_worker``, never imported.

It writes what :mod:`penjing.export.tensorflow_worker` builds a graph from: arrays under names that are the same for
every family, found by the walk that training and serving take (:mod:`penjing.models.families`), and beside them the
outputs of Transformers' own forward for the probes.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from penjing.core.errors import CheckpointError, PenjingError
from penjing.core.nouns import Task
from penjing.export.probes import read_probes
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.families import encoder_parts
from penjing.models.loading import load_model
from penjing.models.packed import padded_outputs

FAMILIES = ("bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta")
_ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu")
_TASKS = (Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING)
_OFFSET = ("roberta", "xlm-roberta", "camembert")
Arrays = dict[str, "np.ndarray[Any, Any]"]


def lay_out(checkpoint: Path, target: Path, probes: Path) -> None:
    """Write ``target`` (.npz) and, beside it, the same name with ``.logits.npz``."""
    found = inspect_checkpoint(checkpoint)
    if found.task not in _TASKS or found.config.get("model_type") not in FAMILIES:
        raise CheckpointError(
            f"a {found.config.get('model_type')} for {found.task.value if found.task else 'no task'}",
            expected=f"one of {', '.join(FAMILIES)} for {', '.join(task.value for task in _TASKS)}",
            do="Choose another format.",
        )
    model = load_model(found)
    arrays, facts = _encoder(model)
    head, is_first = _head(model, found.task)
    for number, (layer, activation) in enumerate(head):
        arrays |= _linear(f"head{number}", layer)
        facts[f"head{number}"] = activation
    facts |= {"heads_in_row": len(head), "reads_first": is_first, "pad": found.pad_id}
    with torch.no_grad():
        outputs = [padded_outputs(model, [one], pad_id=found.pad_id).numpy() for one in read_probes(probes)]
    np.savez(target, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    np.savez(target.with_suffix(".logits.npz"), logits=np.concatenate(outputs))


def _encoder(model: Any) -> tuple[Arrays, dict[str, Any]]:
    parts, config, embeddings = encoder_parts(model), model.config, model.base_model.embeddings
    name = getattr(config, "hidden_act", None) or config.activation
    if name not in _ACTIVATIONS:
        raise CheckpointError(f"activation {name!r}", expected=f"one of {', '.join(_ACTIVATIONS)}")
    arrays = {
        "words": _array(embeddings.word_embeddings.weight),
        "positions": _array(embeddings.position_embeddings.weight),
        **_norm("embedding_norm", embeddings.LayerNorm),
    }
    if hasattr(embeddings, "token_type_embeddings"):
        arrays["types"] = _array(embeddings.token_type_embeddings.weight)
    if (project := getattr(model.base_model, "embeddings_project", None)) is not None:
        arrays |= _linear("project", project)
    for number, layer in enumerate(parts.layers):
        for part in ("query", "key", "value", "attention_out", "up", "down"):
            arrays |= _linear(f"{number}.{part}", getattr(layer, part))
        for part in ("attention_norm", "output_norm"):
            arrays |= _norm(f"{number}.{part}", getattr(layer, part))
    counts_ids = config.model_type in _OFFSET
    return arrays, {
        "layers": len(parts.layers),
        "heads": parts.heads,
        "activation": name,
        "epsilon": float(embeddings.LayerNorm.eps),
        "counts_ids": counts_ids,
        "types": int(getattr(config, "type_vocab_size", 0) or 0),
    }


def _head(model: Any, task: Task) -> tuple[list[tuple[nn.Module, str]], bool]:
    """Layers with the activation after each; and whether they read the first token or every one."""
    if task is Task.QUESTION_ANSWERING:
        return [(model.qa_outputs, "none")], False
    if task is Task.TOKEN_CLASSIFICATION:
        return [(model.classifier, "none")], False
    family = model.config.model_type
    if family == "bert":
        return [(model.bert.pooler.dense, "tanh"), (model.classifier, "none")], True
    if family == "distilbert":
        return [(model.pre_classifier, "relu"), (model.classifier, "none")], True
    activation = "gelu" if family == "electra" else "tanh"
    return [(model.classifier.dense, activation), (model.classifier.out_proj, "none")], True


def _linear(name: str, layer: Any) -> Arrays:
    return {f"{name}.kernel": _array(layer.weight.T), f"{name}.bias": _array(layer.bias)}


def _norm(name: str, layer: Any) -> Arrays:
    return {f"{name}.scale": _array(layer.weight), f"{name}.shift": _array(layer.bias)}


def _array(weight: torch.Tensor) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(weight.detach().to(torch.float32).numpy())


def main() -> None:
    """Arguments: checkpoint directory, file to write, probes file."""
    warnings.simplefilter("ignore")
    try:
        lay_out(*(Path(text) for text in sys.argv[1:4]))
    except PenjingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
