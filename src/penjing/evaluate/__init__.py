"""Evaluation: metrics with confidence intervals, paired comparison, speed, gates and reports."""

from penjing.evaluate.answers import AnswerChange, AnswerComparison, AnswerResult, AnswerScore
from penjing.evaluate.calibration import ReliabilityBin
from penjing.evaluate.classification import ClassificationResult, ClassificationScore
from penjing.evaluate.confusion import ClassFigures, ConfusedPair
from penjing.evaluate.content import (
    Change,
    Comparison,
    DataReport,
    Disagreement,
    Headline,
    LearningCurve,
    Quality,
    ReportContent,
    SystemRow,
    TrainPoint,
    ValidationPoint,
)
from penjing.evaluate.embeddings import COSINE, EmbeddingChange, EmbeddingResult, PairScorer
from penjing.evaluate.entities import EntityChange, EntityComparison, EntityResult, EntityScore
from penjing.evaluate.gate import Gate, GateRule, Reason, Verdict
from penjing.evaluate.labels import LabelsChange, LabelsResult, LabelsScore, compare_labels
from penjing.evaluate.masked import MaskedChange, MaskedResult, MaskedScorer
from penjing.evaluate.numbers import NumbersChange, NumbersResult, compare_numbers, score_numbers
from penjing.evaluate.paired import ClassChange, PairedComparison, PairedResult
from penjing.evaluate.perplexity import PerplexityChange, PerplexityResult, perplexity_change, perplexity_of
from penjing.evaluate.report import render_report, write_report
from penjing.evaluate.speed import Round, ratio_over_rounds, summarise_latencies, summarise_rounds
from penjing.evaluate.translations import TranslationChange, TranslationResult, TranslationScorer

__all__ = [
    "COSINE",
    "AnswerChange",
    "AnswerComparison",
    "AnswerResult",
    "AnswerScore",
    "Change",
    "ClassChange",
    "ClassFigures",
    "ClassificationResult",
    "ClassificationScore",
    "Comparison",
    "ConfusedPair",
    "DataReport",
    "Disagreement",
    "EmbeddingChange",
    "EmbeddingResult",
    "EntityChange",
    "EntityComparison",
    "EntityResult",
    "EntityScore",
    "Gate",
    "GateRule",
    "Headline",
    "LabelsChange",
    "LabelsResult",
    "LabelsScore",
    "LearningCurve",
    "MaskedChange",
    "MaskedResult",
    "MaskedScorer",
    "NumbersChange",
    "NumbersResult",
    "PairScorer",
    "PairedComparison",
    "PairedResult",
    "PerplexityChange",
    "PerplexityResult",
    "Quality",
    "Reason",
    "ReliabilityBin",
    "ReportContent",
    "Round",
    "SystemRow",
    "TrainPoint",
    "TranslationChange",
    "TranslationResult",
    "TranslationScorer",
    "ValidationPoint",
    "Verdict",
    "compare_labels",
    "compare_numbers",
    "perplexity_change",
    "perplexity_of",
    "ratio_over_rounds",
    "render_report",
    "score_numbers",
    "summarise_latencies",
    "summarise_rounds",
    "write_report",
]
