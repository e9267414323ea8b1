"""``penjing evaluate``: a version judged on labelled text, its own test split or another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from penjing.app.evidence import report_content
from penjing.app.exact import ExactRecipe, exact_match
from penjing.app.judging import judge_files
from penjing.app.origin import prepare_for, settings_of
from penjing.app.prepared import Part
from penjing.app.tasks import Judgement, flow_of
from penjing.core.progress import SILENT, Progress
from penjing.data import DataRecipe, load_split
from penjing.evaluate import write_report
from penjing.store import Bundle, Store, parse_reference


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of it.

    Attributes:
        bundle: the version judged.
        judgement: its scores.
        source: what it was judged on.
    """

    bundle: Bundle
    judgement: Judgement
    source: str


def evaluate(
    model: str,
    *,
    store: Path,
    data: str | None = None,
    columns: DataRecipe | None = None,
    report: Path | None = None,
    exact: ExactRecipe | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Judge ``model`` and write the outcome to the ledger.

    Args:
        model: reference of a version.
        store: where it lies.
        data: labelled source; None is the test split the version was made with.
        columns: how to read ``data``: column names, encoding, delimiter.
        report: write an HTML report there.
        exact: of a model that generates text, also how often its answer is the completion.
        progress: where to show it.

    Raises:
        DataError: labels the model does not know, among others.
        UsageError: no ``data``, and the version does not say what it was made from; ``exact`` for another task.
    """
    home = Store(store)
    bundle = home.bundle(*parse_reference(model))
    part = _part(bundle, data, columns, progress)
    judgement = judge_files(bundle.path, bundle.manifest, part, name=f"Judging {bundle.reference}", progress=progress)
    if exact:
        found = exact_match(bundle, part, exact, store=store, progress=progress)
        both = judgement.result.metrics | {"exact_match": found}
        judgement = replace(judgement, result=judgement.result.model_copy(update={"metrics": both}))
    metrics = {name: figure.model_dump(mode="json") for name, figure in judgement.result.metrics.items()}
    facts = {"source": part.split.source, "sha256": part.split.sha256, "rows": part.split.rows, "metrics": metrics}
    home.ledger.append("evaluated", bundle.reference, facts)
    if report:
        content = report_content(
            bundle.manifest, model=bundle.reference, recipe=bundle.manifest, quality=judgement.result
        )
        write_report(report, content)
    return Evaluation(bundle, judgement, part.split.source)


def _part(bundle: Bundle, data: str | None, columns: DataRecipe | None, progress: Progress) -> Part:
    if data is None:
        return prepare_for(bundle, progress).test
    outputs, problem = bundle.manifest.labels, bundle.manifest.problem_type
    flow, columns = flow_of(bundle.manifest.task, problem), (columns or DataRecipe(train=data)).answering(problem)
    split = load_split(data, flow.labels_behind(outputs), task=flow.task, recipe=columns)
    return flow.part(split, settings_of(bundle), outputs)
