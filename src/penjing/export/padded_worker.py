"""The process that exports Transformers' own forward. ``penjing.export.padded_worker``, never imported.

Other than the graph that Penjing serves, which takes packed rows, this one takes padded batches, as every other
program feeds them: ``input_ids``, ``attention_mask``, and ``token_type_ids`` where the model tells two texts apart.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch

from penjing.core.errors import CheckpointError, PenjingError
from penjing.core.nouns import Task
from penjing.export.probes import read_probes
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.loading import load_model
from penjing.models.packed import padded_outputs

_OPSET = 18
_TASKS = (Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING)


def export(checkpoint: Path, target: Path, probes: Path) -> None:
    """Write ``target`` (ONNX, fp32) and ``target.npz`` (reference outputs for the probes)."""
    found = inspect_checkpoint(checkpoint)
    if found.task not in _TASKS:
        raise CheckpointError(
            f"a checkpoint for {found.task.value if found.task else 'no task'}",
            expected=f"one for {', '.join(task.value for task in _TASKS)}",
            do="Export it for an engine instead: --engine.",
        )
    model = load_model(found)
    with torch.no_grad():
        reference = [padded_outputs(model, [one], pad_id=found.pad_id).numpy() for one in read_probes(probes)]
    np.savez(target.with_suffix(".npz"), logits=np.concatenate(reference))
    model.config.return_dict = False
    names = ["input_ids", "attention_mask"]
    if int(found.config.get("type_vocab_size") or 0) > 1:
        names.append("token_type_ids")
    outputs = ["start_logits", "end_logits"] if found.task is Task.QUESTION_ANSWERING else ["logits"]
    by_token = found.task is not Task.TEXT_CLASSIFICATION
    cells = {0: "batch", 1: "tokens"}
    torch.onnx.export(
        model,
        ({name: torch.ones((2, 22), dtype=torch.int64) for name in names},),
        str(target),
        dynamo=False,
        opset_version=_OPSET,
        input_names=names,
        output_names=outputs,
        dynamic_axes=dict.fromkeys(names, cells) | dict.fromkeys(outputs, cells if by_token else {0: "batch"}),
    )


def main() -> None:
    """Arguments: checkpoint directory, ONNX file to write, probes file."""
    warnings.simplefilter("ignore")
    try:
        export(*(Path(text) for text in sys.argv[1:4]))
    except PenjingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
