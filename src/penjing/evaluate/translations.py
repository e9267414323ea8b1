"""Scores of translations: BLEU and chrF as sacreBLEU counts them, with intervals, and what changed between two models.

Promise: both figures are those of ``sacrebleu`` on the whole split, as shares of 1 where it gives points of 100; a
test holds that. sacreBLEU counts each sentence once; intervals resample those counts, and a comparison resamples
both models' together.

Source: Papineni et al. 2002 (BLEU); Popović 2015 (chrF); Post 2018 (sacreBLEU); Koehn 2004 (paired bootstrap).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.core.extras import require
from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate import intervals
from penjing.evaluate.confusion import ClassFigures
from penjing.evaluate.paired import ClassChange, ComparisonRow
from penjing.evaluate.resampling import resample

Floats = npt.NDArray[np.float64]
_ORDERS = 4  # of BLEU's n-grams
_CHRF_ORDERS = 6
_BETA = 2  # recall counts so much more than precision in chrF2
_CJK_SHARE = 0.3


class TranslationResult(Frozen):
    """What a translation model was measured to do. Plain data; reloads from its own JSON.

    Attributes:
        n: sentences.
        metrics: ``bleu`` and ``chrf``, as shares of 1; ``same``: translations that are the reference to the letter.
        signature: how BLEU was counted, in sacreBLEU's words.
    """

    kind: Literal["translations"] = "translations"
    labels: tuple[str, ...] = ()
    n: int
    metrics: dict[str, Measurement]
    signature: str
    per_class: tuple[ClassFigures, ...] = ()

    @property
    def headlines(self) -> tuple[str, ...]:
        """The metrics that stand on top of a report."""
        return ("bleu", "chrf")


class TranslationChange(Frozen):
    """How a candidate's translations differ from its baseline's of the same texts.

    Attributes:
        n: sentences.
        baseline, candidate, difference: BLEU, resampled together; candidate − baseline.
        chrf_difference: the same of chrF.
        agreement: texts translated to the letter alike.
    """

    kind: Literal["translations"] = "translations"
    n: int
    baseline: Measurement
    candidate: Measurement
    difference: Measurement
    chrf_difference: Measurement
    agreement: Measurement
    per_class: tuple[ClassChange, ...] = ()

    @property
    def differences(self) -> dict[str, Measurement]:
        """Metric → difference, as a gate takes them."""
        return {"bleu": self.difference}

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """What a table shows."""
        return (
            ComparisonRow("BLEU of {baseline}", self.baseline, "share"),
            ComparisonRow("BLEU of {candidate}", self.candidate, "share"),
            ComparisonRow("Difference in BLEU (points)", self.difference, "points"),
            ComparisonRow("Difference in chrF (points)", self.chrf_difference, "points"),
            ComparisonRow("Agreement (same translation)", self.agreement, "share"),
        )


class TranslationScorer:
    """Scores translations of one set of texts.

    Args:
        references: the right translation of each.
    """

    def __init__(self, references: Sequence[str]) -> None:
        if not references:
            raise DataError("no translations to score", expected="at least one")
        metrics = require("sacrebleu.metrics", extra="generate")
        self._references = [*references]
        tokenizer = "zh" if _is_cjk(references) else "13a"
        self._bleu, self._chrf = metrics.BLEU(tokenize=tokenizer), metrics.CHRF(word_order=0, beta=_BETA)
        self.n = len(self._references)

    def result(self, translations: Sequence[str], *, seed: int = 0) -> TranslationResult:
        """The figures.

        Raises:
            DataError: not as many translations as references.
        """
        bleu, chrf = self._counted(translations)
        same = sum(one == right for one, right in zip(translations, self._references, strict=True))
        metrics = {
            "bleu": resample(self.n, lambda often: bleu_of(often @ bleu), seed=seed),
            "chrf": resample(self.n, lambda often: chrf_of(often @ chrf), seed=seed),
            "same": intervals.share(same, self.n),
        }
        self._bleu.corpus_score([*translations], [self._references])  # the signature tells of a score it has given
        return TranslationResult(n=self.n, metrics=metrics, signature=str(self._bleu.get_signature()))

    def change(self, baseline: Sequence[str], candidate: Sequence[str], *, seed: int = 0) -> TranslationChange:
        """What is different between two models' translations of the same texts.

        Raises:
            DataError: as :meth:`result`.
        """
        (before, before_chrf), (after, after_chrf) = self._counted(baseline), self._counted(candidate)
        alike = sum(one == other for one, other in zip(baseline, candidate, strict=True))
        return TranslationChange(
            n=self.n,
            baseline=resample(self.n, lambda often: bleu_of(often @ before), seed=seed),
            candidate=resample(self.n, lambda often: bleu_of(often @ after), seed=seed),
            difference=resample(self.n, lambda often: bleu_of(often @ after) - bleu_of(often @ before), seed=seed),
            chrf_difference=resample(
                self.n, lambda often: chrf_of(often @ after_chrf) - chrf_of(often @ before_chrf), seed=seed
            ),
            agreement=intervals.share(alike, self.n),
        )

    def _counted(self, translations: Sequence[str]) -> tuple[Floats, Floats]:
        """SacreBLEU's own counts of each sentence: (n, counts) for BLEU and for chrF."""
        if len(translations) != self.n:
            raise DataError(f"{len(translations)} translations", expected=f"one for each of {self.n} texts")
        return _counts(self._bleu, translations, self._references), _counts(self._chrf, translations, self._references)


def bleu_of(sums: Floats) -> Floats:
    """BLEU, a share of 1, of summed counts (draws, 2 + 8): lengths of translation and reference, right and all n-grams.

    Precisions of zero are halved down from the last, sacreBLEU's smoothing "exp".
    """
    lengths, references = sums[:, 0], sums[:, 1]
    right, all_ = sums[:, 2 : 2 + _ORDERS], sums[:, 2 + _ORDERS :]
    halvings = 2.0 ** np.cumsum((right == 0) & (all_ > 0), axis=1)
    counted = np.where(right == 0, 1 / halvings, right)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(counted) - np.log(all_)
        brevity = np.where(lengths < references, np.exp(1 - references / lengths), 1.0)
        scores = brevity * np.exp(logs.mean(axis=1))
    return np.where((lengths > 0) & (all_ > 0).all(axis=1) & (right > 0).any(axis=1), scores, 0.0)


def chrf_of(sums: Floats) -> Floats:
    """chrF2, a share of 1, of summed counts (draws, 18): for each order n-grams of translation, reference, and both."""
    grams = sums.reshape(len(sums), _CHRF_ORDERS, 3)
    given, wanted, both = grams[..., 0], grams[..., 1], grams[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = np.nan_to_num(both / given), np.nan_to_num(both / wanted)
        counts = ((given > 0) & (wanted > 0)).sum(axis=1)
        means = [np.nan_to_num(one.sum(axis=1) / counts) for one in (precision, recall)]
        weight = _BETA**2
        scores = (1 + weight) * means[0] * means[1] / (weight * means[0] + means[1])
    return np.asarray(np.nan_to_num(scores))


def _counts(metric: Any, translations: Sequence[str], references: Sequence[str]) -> Floats:
    return np.array(metric._extract_corpus_statistics([*translations], [[*references]]), np.float64)


def _is_cjk(texts: Sequence[str]) -> bool:
    """Whether many letters are Chinese or Japanese, which are counted one by one."""
    letters = [letter for text in texts[:200] for letter in text if not letter.isspace()]
    return sum("\u3040" <= letter <= "\u9fff" for letter in letters) > _CJK_SHARE * len(letters)
