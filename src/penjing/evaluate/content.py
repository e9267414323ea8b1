"""What a report is made of: plain data, so that it can be kept as JSON and printed again later.

Promise: every part may be absent, and its section is then absent too.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from penjing.core.machine import Machine
from penjing.core.nouns import Frozen, Measurement, Task
from penjing.evaluate.answers import AnswerChange, AnswerResult
from penjing.evaluate.classification import ClassificationResult
from penjing.evaluate.embeddings import EmbeddingChange, EmbeddingResult
from penjing.evaluate.entities import EntityChange, EntityResult
from penjing.evaluate.gate import Verdict
from penjing.evaluate.labels import LabelsChange, LabelsResult
from penjing.evaluate.masked import MaskedChange, MaskedResult
from penjing.evaluate.numbers import NumbersChange, NumbersResult
from penjing.evaluate.paired import PairedResult
from penjing.evaluate.perplexity import PerplexityChange, PerplexityResult
from penjing.evaluate.translations import TranslationChange, TranslationResult
from penjing.store.manifest import DataRecord, FileRecord, Parent

Quality = (
    ClassificationResult
    | LabelsResult
    | NumbersResult
    | EntityResult
    | AnswerResult
    | EmbeddingResult
    | MaskedResult
    | PerplexityResult
    | TranslationResult
)
Change = (
    PairedResult
    | LabelsChange
    | NumbersChange
    | EntityChange
    | AnswerChange
    | EmbeddingChange
    | MaskedChange
    | PerplexityChange
    | TranslationChange
)


class Headline(Frozen):
    """What the report is about.

    Attributes:
        version: None before the store has given one.
        summary: a sentence or two above everything else.
    """

    model: str
    version: int | None = None
    task: Task
    created: datetime
    machine: Machine | None = None
    summary: str = ""


class SystemRow(Frozen):
    """One system of the speed and size table, all measured in the same run.

    Attributes:
        quality: in the report's ``metric``.
        size_mb: bytes that serving loads, in units of 10⁶.
        ratio: its throughput over the first row's, by rounds; None for the first row itself.
    """

    name: str
    quality: Measurement | None = None
    size_mb: float | None = None
    p50_ms: Measurement | None = None
    p99_ms: Measurement | None = None
    requests_per_s: Measurement | None = None
    tokens_per_s: Measurement | None = None
    ratio: Measurement | None = None


class TrainPoint(Frozen):
    """The loss of one optimiser step, after ``tokens`` real tokens in all."""

    tokens: int
    loss: float


class ValidationPoint(Frozen):
    """An evaluation in the course of training, after ``tokens`` real tokens in all."""

    tokens: int
    accuracy: float | None = None
    loss: float | None = None


class LearningCurve(Frozen):
    """Training as it went."""

    train: tuple[TrainPoint, ...] = ()
    validation: tuple[ValidationPoint, ...] = ()


class Comparison(Frozen):
    """A paired comparison and the names of its two sides."""

    baseline: str
    candidate: str
    result: Change


class Disagreement(Frozen):
    """A test example that two versions answer differently.

    Attributes:
        text: of the example.
        right: the answer that its label gives.
        before, after: of the baseline and of the candidate.
    """

    text: str
    right: str
    before: str
    after: str


class DataReport(Frozen):
    """The data that made and judged the model.

    Attributes:
        splits: name of the split → where it came from.
        classes: name of the split → label → examples.
        findings: what was noticed, a sentence each: duplicates, leakage, empty texts.
    """

    splits: dict[str, DataRecord]
    classes: dict[str, dict[str, int]] = Field(default_factory=dict)
    findings: tuple[str, ...] = ()


class ReportContent(Frozen):
    """A whole report.

    Attributes:
        headline: what, which, when, where.
        quality: the classifier's scores on the test split.
        measurements: further figures by name, such as ε spent.
        metric: the measure of quality that stands beside speed.
        systems: rows of the speed and size table, the one to compare with first.
        conditions: how ``systems`` were measured: requests, rounds, concurrency.
        learning: the learning curve.
        comparison: what a change (int8, pruning) cost.
        disagreements: some examples on which the two sides of ``comparison`` answer differently.
        verdict: what the gate said.
        data: the data report.
        recipe_yaml: the resolved recipe as text; recipe_digest: its digest.
        steps_yaml: the recipes of the steps that a recipe came down to, one after another.
        parents: what the model was made from.
        files: the bundle's files and digests.
        notes: further sentences.
    """

    headline: Headline
    quality: Quality | None = None
    measurements: dict[str, Measurement] = Field(default_factory=dict)
    metric: str = "accuracy"
    systems: tuple[SystemRow, ...] = ()
    conditions: str = ""
    learning: LearningCurve | None = None
    comparison: Comparison | None = None
    disagreements: tuple[Disagreement, ...] = ()
    verdict: Verdict | None = None
    data: DataReport | None = None
    recipe_yaml: str = ""
    recipe_digest: str = ""
    steps_yaml: str = ""
    parents: tuple[Parent, ...] = ()
    files: dict[str, FileRecord] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
