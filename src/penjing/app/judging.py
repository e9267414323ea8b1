"""A bundle judged through the engine that will serve it, on packed rows, in flat memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part
from penjing.app.tasks import Judgement, flow_of
from penjing.core.errors import CorruptBundleError
from penjing.core.machine import usable_cores
from penjing.core.progress import Progress
from penjing.evaluate import Change
from penjing.serve.opening import open_files
from penjing.store import Bundle, ManifestDraft

EVIDENCE_FILE = "evidence/test.npz"


def judge_files(directory: Path, draft: ManifestDraft, part: Part, *, name: str, progress: Progress) -> Judgement:
    """Judge a bundle, published or not, with an engine instance on each core."""
    engine = open_drafted(directory, draft)
    try:
        return flow_of(draft.task, draft.problem_type).judge(
            engine, part, draft.labels, decoding=draft.decoding, name=name, progress=progress
        )
    finally:
        engine.close()


def tune_files(directory: Path, draft: ManifestDraft, part: Part | None) -> ManifestDraft:
    """The draft with settings of decoding found on a validation split; as it was where there is none."""
    if part is None:
        return draft
    engine = open_drafted(directory, draft)
    try:
        found = flow_of(draft.task, draft.problem_type).tune(engine, part, draft.labels, decoding=draft.decoding)
    finally:
        engine.close()
    return draft.model_copy(update={"decoding": draft.decoding | found})


def open_drafted(directory: Path, draft: ManifestDraft) -> Any:
    """The engine of a bundle that lies in ``directory``: an Engine, or a Generator for a model that writes.

    Raises:
        CorruptBundleError: it has none.
    """
    return open_files(directory, draft, instances=usable_cores())


def keep_predictions(judgement: Judgement, part: Part, directory: Path) -> None:
    """Write the answers into a bundle, with the digest of the split they answer."""
    path = directory / EVIDENCE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, predictions=judgement.predictions, sha256=np.array(part.split.sha256))


def kept_predictions(bundle: Bundle, part: Part) -> npt.NDArray[np.int32] | None:
    """The answers a bundle kept for exactly this split, or None.

    Raises:
        CorruptBundleError: the evidence is there but cannot be read.
    """
    if EVIDENCE_FILE not in bundle.manifest.files:
        return None
    try:
        with np.load(bundle.file(EVIDENCE_FILE), allow_pickle=False) as arrays:
            predictions: npt.NDArray[np.int32] = arrays["predictions"]
            same = str(arrays["sha256"]) == part.split.sha256
    except (OSError, ValueError, KeyError) as error:
        raise CorruptBundleError(f"the evidence of {bundle.reference} cannot be read: {error}") from error
    return predictions if same else None


def compare(
    draft: ManifestDraft, baseline: npt.NDArray[np.int32], candidate: npt.NDArray[np.int32], part: Part
) -> Change:
    """What changed between two sets of answers to the same texts."""
    return flow_of(draft.task, draft.problem_type).compare(baseline, candidate, part=part, outputs=draft.labels)
