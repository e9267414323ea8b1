"""Labelled texts that no version was trained on or is judged by, and what a version makes of them."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penjing.app.judging import open_drafted
from penjing.app.origin import origin_recipe, settings_of
from penjing.app.prepared import Part, PreparedData
from penjing.app.tasks import flow_of
from penjing.core.errors import DataError, UsageError
from penjing.core.progress import Progress
from penjing.data import load_split
from penjing.data.examples import make_split
from penjing.data.overlap import text_key
from penjing.engines.bulk import bulk_outputs
from penjing.store import Bundle
from penjing.tasks.text_classification import BIAS

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Asked:
    """A version's outputs.

    Attributes:
        outputs: float32 (texts, labels), what decoding adds included.
        seconds: that it took.
    """

    outputs: Floats
    seconds: float


def held_out_part(source: str | None, last: Bundle, data: PreparedData) -> Part:
    """Labelled texts that neither trained a version nor judge it.

    Args:
        source: where they are; None is the validation split.
        last: how they are read.
        data: of ``last``; texts of its training and test splits are left out.

    Raises:
        UsageError: there is neither.
        DataError: none is left.
    """
    if source is None:
        if data.validation is None:
            raise UsageError(
                f"{last.reference} was made without a validation split",
                expected="labelled texts that it was not trained on",
                do="Give some (held_out), or fine-tune with data.validation or data.validation_fraction.",
            )
        return data.validation
    flow, labels = flow_of(last.manifest.task, last.manifest.problem_type), last.manifest.labels
    split = load_split(source, labels, task=flow.task, recipe=origin_recipe(last).data)
    seen = {text_key(one.texts) for part in (data.train, data.test) for one in part.split.examples}
    kept = [one for one in split.examples if text_key(one.texts) not in seen]
    if not kept:
        raise DataError(
            f"{source} holds no text that is not in the training or test split", expected="texts of its own"
        )
    return flow.part(make_split(split.name, split.source, kept), settings_of(last), labels)


def outputs_on(version: Bundle, part: Part, progress: Progress) -> Asked:
    """A version's outputs on all texts of a part, through its engine."""
    given = np.zeros((len(part.sequences), len(version.manifest.labels)), np.float32)
    engine = open_drafted(version.path, version.manifest)
    try:
        with progress.stage(f"Asking {version.reference}", total=part.tokens) as stage:
            started = time.perf_counter()
            for rows, some in bulk_outputs(engine, part.sequences):
                given[rows] = some
                stage.advance(sum(len(part.sequences[row]) for row in rows))
            seconds = time.perf_counter() - started
    finally:
        engine.close()
    return Asked(given + bias_of(version), seconds)


def bias_of(version: Bundle) -> Floats:
    """What a version's decoding adds to its outputs, float32 (labels,)."""
    manifest = version.manifest
    return np.array([manifest.decoding.get(BIAS + label, 0.0) for label in manifest.labels], np.float32)
