from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from penjing.core.machine import Machine
from penjing.core.nouns import Measurement, Task
from penjing.evaluate import (
    ClassificationScore,
    Comparison,
    DataReport,
    Gate,
    GateRule,
    Headline,
    LearningCurve,
    PairedComparison,
    ReportContent,
    SystemRow,
    TrainPoint,
    ValidationPoint,
)
from penjing.store.manifest import DataRecord, FileRecord, Parent

DIGEST = "0123456789abcdef" * 4


Answers = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="session")
def answers() -> Answers:
    """Makes logits float32 (n, classes) of a model that is often right, and targets (n,)."""
    return _answers


def _answers(classes: int, n: int, *, seed: int = 0, signal: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, n)
    logits = random.normal(0, 1.5, (n, classes))
    logits[np.arange(n), targets] += random.normal(signal, 1, n)
    return logits.astype(np.float32), targets


@pytest.fixture
def full_report() -> Callable[[tuple[str, ...]], ReportContent]:
    """Builds a report with every section, for given labels."""
    return _full_report


def _full_report(labels: tuple[str, ...]) -> ReportContent:
    logits, targets = _answers(len(labels), 12 * len(labels))
    changed = logits + np.random.default_rng(1).normal(0, 0.8, logits.shape).astype(np.float32)
    score, pair = ClassificationScore(labels), PairedComparison(labels)
    score.add(changed, targets)
    pair.add(logits, changed, targets=targets)
    quality, result = score.result(), pair.result()
    rate = Measurement(value=120.0, low=110.0, high=130.0, n=8, unit="requests/s")
    gate = Gate(rules=(GateRule(metric="accuracy", at_least=0.1), GateRule(metric="accuracy", max_drop=0.0001)))
    return ReportContent(
        headline=Headline(
            model=labels[0],
            version=2,
            task=Task.TEXT_CLASSIFICATION,
            created=datetime(2026, 5, 4, 12, 30, tzinfo=UTC),
            machine=Machine(
                processor=labels[0],
                cores=2,
                instructions=("avx2",),
                memory_gib=16.0,
                system="Linux x86_64",
                python="3.11.9",
                versions={"numpy": "2.0"},
            ),
            summary=labels[0],
        ),
        quality=quality,
        measurements={labels[0]: rate},
        systems=(
            SystemRow(name=labels[0], quality=result.baseline_accuracy, requests_per_s=rate),
            SystemRow(name=labels[1], quality=result.candidate_accuracy, requests_per_s=rate, ratio=rate, size_mb=9.1),
        ),
        conditions=labels[0],
        learning=LearningCurve(
            train=tuple(TrainPoint(tokens=i * 100, loss=3 / i) for i in range(1, 900)),
            validation=tuple(ValidationPoint(tokens=i * 30_000, accuracy=0.3 * i, loss=2 / i) for i in range(1, 4)),
        ),
        comparison=Comparison(baseline=labels[0], candidate=labels[1], result=result),
        verdict=gate.judge(quality.metrics, result.differences),
        data=DataReport(
            splits={labels[0]: DataRecord(source="https://example.com/" + labels[0], sha256=DIGEST, rows=9)},
            classes={labels[0]: dict.fromkeys(labels, 3)},
            findings=(labels[0],),
        ),
        recipe_yaml=f"name: {labels[0]}\n",
        recipe_digest=DIGEST,
        parents=(Parent(kind="version", name=labels[0], digest=DIGEST),),
        files={labels[0]: FileRecord(sha256=DIGEST, bytes=123_456)},
        notes=(labels[0],),
    )
