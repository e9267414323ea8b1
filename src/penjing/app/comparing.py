"""A new version against the one it came from: the answers of both, what the change costs, and whether it may."""

from __future__ import annotations

import numpy as np

from penjing.app.judging import judge_files, kept_predictions
from penjing.app.prepared import Part
from penjing.core.nouns import Measurement
from penjing.core.progress import Progress
from penjing.evaluate import Change, Gate, GateRule, Verdict
from penjing.store import Bundle, Store


def answers_of(bundle: Bundle, test: Part, progress: Progress) -> np.ndarray:
    """A version's answers to a split: those it kept, or else given now."""
    kept = kept_predictions(bundle, test)
    if kept is not None:
        return kept
    return judge_files(
        bundle.path, bundle.manifest, test, name=f"Judging {bundle.reference}", progress=progress
    ).predictions


def costs(changed: Change) -> dict[str, Measurement]:
    """What a version's metrics say of the change that made it."""
    differences = {f"{metric}_difference": change for metric, change in changed.differences.items()}
    return differences | {"agreement": changed.agreement}


def pass_gate(max_drop: float | None, changed: Change, *, home: Store, parent: Bundle, form: str) -> Verdict | None:
    """The gate's consent, None where none was asked for; a refusal is noted in the ledger and raised.

    Args:
        max_drop: of the metric that the task goes by, as a share.
        changed: on the whole test split.
        home: whose ledger is written to.
        parent: what was to be replaced.
        form: what was to replace it.

    Raises:
        GateRefusal: more would be lost.
    """
    if max_drop is None:
        return None
    (metric,) = changed.differences
    verdict = Gate(rules=(GateRule(metric=metric, max_drop=max_drop),)).judge({}, differences=changed.differences)
    if not verdict.passed:
        reasons = [reason.text for reason in verdict.reasons]
        home.ledger.append("refused", parent.reference, {"form": form, "reasons": reasons})
    verdict.enforce()
    return verdict
