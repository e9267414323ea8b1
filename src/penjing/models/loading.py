"""Transformers models in and out of checkpoint directories, quietly and without surprises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penjing.core.errors import CheckpointError
from penjing.core.extras import require
from penjing.core.nouns import Problem, Task
from penjing.models.checkpoint import Checkpoint, copy_tokenizer
from penjing.models.decoder import DECODERS, WITHOUT_SDPA
from penjing.models.families import FAMILIES, STATIC, unknown_family
from penjing.models.quiet import quiet_transformers
from penjing.models.tasks import TASK_CLASSES, WRITING_TASKS
from penjing.models.translator import TRANSLATORS
from penjing.models.weights import refused_writes_told

_SHOWN = 3


def load_model(
    checkpoint: Checkpoint,
    task: Task | None = None,
    labels: Sequence[str] | None = None,
    *,
    problem: Problem | None = None,
) -> Any:
    """A Transformers encoder with a task's head, or a causal language model, in fp32 and in evaluation mode.

    Args:
        checkpoint: an inspected checkpoint.
        task: what for, if it is to be trained: the head is new unless the checkpoint has one of
            as many outputs, which is then where training starts. None keeps the checkpoint's own.
        labels: names of a new head's outputs, where the task has any.
        problem: what a new head of text classification answers with.

    Raises:
        CheckpointError: a family without a packed path; a config that does not fit; weights that
            lack a part of the encoder, or without ``task`` of the head. Transformers alone
            would fill such gaps with random numbers.
    """
    known = task or checkpoint.task or Task.TEXT_CLASSIFICATION
    _refuse_unknown(checkpoint, known)
    transformers, torch = require("transformers", extra="train"), require("torch", extra="train")
    kind, is_bare = TASK_CLASSES[known][1], known is Task.FEATURE_EXTRACTION
    with quiet_transformers(), _told(checkpoint):
        model, found = getattr(transformers, kind).from_pretrained(
            checkpoint.path,
            dtype=torch.float32,
            attn_implementation="eager"
            if checkpoint.model_type in WITHOUT_SDPA
            else None,  # MPNet has no sdpa in Transformers
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # refused below, but for a new head
            output_loading_info=True,
            **_told_of_a_new_head(labels, problem),
        )
    may_lack_head = is_bare or task not in (None, *WRITING_TASKS)  # a vocabulary's head is never new
    encoder = "" if is_bare else f"{model.base_model_prefix}."
    _refuse_gaps(checkpoint, found, encoder=encoder, may_lack_head=may_lack_head)
    _freeze_unsaved(model)
    return model.eval()


def _freeze_unsaved(model: Any) -> None:
    """Weights that follow from the config, such as Marian's positions, are not saved; what they learnt would be lost.

    Transformers means them to be frozen, yet has them trainable once a checkpoint was loaded.
    """
    unsaved = set(getattr(model, "_keys_to_ignore_on_save", None) or ())
    for name, weight in model.named_parameters():
        if name in unsaved:
            weight.requires_grad_(False)


def _refuse_unknown(checkpoint: Checkpoint, task: Task) -> None:
    families = {Task.TEXT_GENERATION: DECODERS, Task.TRANSLATION: TRANSLATORS}.get(task, FAMILIES)
    if task is Task.TEXT_CLASSIFICATION and checkpoint.model_type == STATIC:
        return
    if checkpoint.model_type not in families:
        raise unknown_family(checkpoint.model_type, families)


def _told_of_a_new_head(labels: Sequence[str] | None, problem: Problem | None) -> dict[str, Any]:
    """What Transformers keeps of it in ``config.json``."""
    options: dict[str, Any] = {}
    if labels is not None:
        options = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    return options if problem is None else options | {"problem_type": problem.value}


def save_checkpoint(model: Any, tokenizer_from: Path, target: Path) -> None:
    """Write an ordinary Transformers checkpoint, tokenizer included.

    Raises:
        ResourceError: the disk refused the weights.
    """
    with quiet_transformers(), refused_writes_told(target):
        model.save_pretrained(target)
    copy_tokenizer(tokenizer_from, target)


@contextmanager
def _told(checkpoint: Checkpoint) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a config that lies makes Transformers raise errors of every kind
        said = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"Transformers cannot open {checkpoint.path}: {type(error).__name__}: {said}",
            expected=f"a whole {checkpoint.model_type} checkpoint whose config.json fits its weights",
            do="Copy it again from where it opens.",
        ) from error


def _refuse_gaps(checkpoint: Checkpoint, found: Mapping[str, Any], *, encoder: str, may_lack_head: bool) -> None:
    """Refuse weights that Transformers replaced by random numbers, the pooler's and a new head's apart."""
    gaps = [*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])]
    if may_lack_head:
        gaps = [name for name in gaps if name.startswith(encoder) and not name.startswith(f"{encoder}pooler.")]
    if gaps:
        shown = ", ".join(sorted(gaps)[:_SHOWN]) + (" …" if len(gaps) > _SHOWN else "")
        raise CheckpointError(
            f"the weights in {checkpoint.path} lack {len(gaps)} tensors of the shape its config.json asks for: {shown}",
            expected=f"all of a {checkpoint.model_type}" + ("'s encoder" if may_lack_head else " with its head"),
            do="Use the config.json that was saved with these weights.",
        )
