"""How sure a stage of a cascade must be, so that the cascade agrees with its last stage as often as was asked.

Held-out texts are parted in two. On the first part each stage's sureness is calibrated: a temperature, so that it is
the probability that the answer is the one to agree with, the last stage's or another version's. All stages then share
one threshold, and that is found on the second part: from the strictest on, each of a fixed row of thresholds is tested,
exactly, by how many of the texts the cascade would answer otherwise; the loosest before the first that fails is taken.

Promise: with the stated confidence over the draw of held-out texts, the taken threshold keeps the agreement on texts
drawn like them. No correction is needed for having looked at many: they are tested in a fixed order, to the first
failure. Trade: texts that calibrate do not test; and few held-out texts cannot prove a high agreement.

Source: Angelopoulos et al., "Learn then Test", arXiv 2110.01052 (fixed sequence testing, with the binomial's exact
p-value); Clopper and Pearson 1934, Biometrika 26:404 for the bound; Guo et al., arXiv 1706.04599 for temperatures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penjing.core.errors import GateRefusal
from penjing.core.nouns import Measurement
from penjing.engines import sureness
from penjing.evaluate.intervals import clopper_pearson, share
from penjing.tasks.text_classification import fit_temperature

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_CALIBRATING = 0.3  # share of the held-out texts; the others test
_LEAST_CALIBRATING = 20
# From 1 − 10⁻⁶ to 0.5, evenly on a logarithmic scale of 1 − threshold.
_ROW = tuple(float(1 - doubt) for doubt in np.geomspace(1e-6, 0.5, 400))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What was found.

    Attributes:
        temperatures: of each stage, by which its probabilities fit the labels.
        sureness_temperatures: of each stage, by which its sureness fits its agreement; 1 of the last.
        threshold: that all but the last stage share.
        shares: of the testing texts that each stage answers.
        agreement: on the testing texts, with the bounds of Clopper and Pearson.
    """

    temperatures: tuple[float, ...]
    sureness_temperatures: tuple[float, ...]
    threshold: float
    shares: tuple[Measurement, ...]
    agreement: Measurement


def find_thresholds(
    outputs: Sequence[Floats],
    targets: Ints,
    *,
    agreement: float,
    confidence: float,
    seed: int,
    answers: Ints | None = None,
) -> Thresholds:
    """Calibrate and test.

    Args:
        outputs: of each stage, the last one last: float32 (texts, labels).
        targets: the right labels, int64 (texts,).
        agreement: to keep, 0..1.
        confidence: to keep it with, 0..1.
        seed: of which texts calibrate.
        answers: to agree with, int64 (texts,); None is the last stage's.

    Raises:
        GateRefusal: too few texts to prove it, or no stage is ever sure enough.
    """
    calibrating, testing = parted(len(targets), seed=seed)
    _refuse_few(len(testing), len(targets), agreement=agreement, confidence=confidence)
    same = outputs[-1].argmax(axis=1) if answers is None else answers
    temperatures = tuple(fit_temperature(one[calibrating], targets[calibrating]) for one in outputs)
    sharp = (*(fit_temperature(one[calibrating], same[calibrating]) for one in outputs[:-1]), 1.0)
    sure = np.stack([sureness(one[testing], at) for one, at in zip(outputs[:-1], sharp, strict=False)])
    differs = np.stack([(one[testing].argmax(axis=1) != same[testing]) for one in outputs])
    most = _most_differing(len(testing), agreement=agreement, confidence=confidence)
    threshold = loosest(sure, differs, most=most)
    taken = stage_of(sure, threshold)
    counts = np.bincount(taken, minlength=len(outputs)).tolist()
    _refuse_idle(counts, agreement=agreement)
    same_answers = len(testing) - _differing(taken, differs)
    low, high = clopper_pearson(same_answers, len(testing))
    return Thresholds(
        temperatures,
        sharp,
        threshold,
        tuple(share(count, len(testing)) for count in counts),
        Measurement(value=same_answers / len(testing), low=low, high=high, n=len(testing)),
    )


def parted(texts: int, *, seed: int) -> tuple[Ints, Ints]:
    """Which held-out texts calibrate, and which test: their numbers."""
    order = np.random.default_rng(seed).permutation(texts)
    calibrating, testing = np.split(order, [max(_LEAST_CALIBRATING, int(_CALIBRATING * texts))])
    return calibrating, testing


def stage_of(sure: npt.NDArray[np.float64], threshold: float) -> Ints:
    """Which stage answers each text, int64 (texts,), counted from 0.

    Args:
        sure: sureness of each stage but the last, float64 (stages − 1, texts).
        threshold: of all of them.
    """
    reached = np.concatenate([sure >= threshold, np.ones((1, sure.shape[1]), np.bool_)])
    return np.asarray(reached.argmax(axis=0), np.int64)


def _differing(taken: Ints, differs: npt.NDArray[np.bool_]) -> int:
    return int(differs[taken, np.arange(len(taken))].sum())


def loosest(sure: npt.NDArray[np.float64], differs: npt.NDArray[np.bool_], *, most: float) -> float:
    """The last threshold of the row before the first with too many differing answers; ∞ if that is the very first.

    Args:
        sure: sureness of each stage but the last, float64 (stages − 1, texts).
        differs: whether each stage's answer is another than wanted, bool (stages, texts).
        most: answers of the cascade that may differ.
    """
    found = math.inf
    for threshold in _ROW:
        if _differing(stage_of(sure, threshold), differs) > most:
            break
        found = threshold
    return found


def _most_differing(texts: int, *, agreement: float, confidence: float) -> int:
    """The largest d with P(Binomial(texts, 1 − agreement) ≤ d) ≤ 1 − confidence; −1 if there is none."""
    rate, below, count = 1 - agreement, 0.0, -1
    log_term = texts * math.log1p(-rate)  # of none
    while (below := below + math.exp(log_term)) <= 1 - confidence:
        count += 1
        log_term += math.log((texts - count) / (count + 1)) + math.log(rate / (1 - rate))
    return count


def _refuse_idle(counts: Sequence[int], *, agreement: float) -> None:
    if not sum(counts[:-1]):
        raise GateRefusal(
            f"of {counts[-1]:,} held-out texts the stages before the last may answer none",
            expected=f"thresholds that keep an agreement of {agreement:.2%}",
            do="Ask for less agreement, train the smaller stages longer, or hold out more texts (held_out).",
        )


def _refuse_few(testing: int, texts: int, *, agreement: float, confidence: float) -> None:
    needed = math.ceil(math.log(1 - confidence) / math.log(agreement))
    if testing < needed:
        raise GateRefusal(
            f"{texts:,} held-out texts, of which {testing:,} test",
            expected=f"at least {math.ceil(needed / (1 - _CALIBRATING)):,}: fewer cannot prove an agreement of "
            f"{agreement:.2%} with {confidence:.0%} confidence, however good the stages are",
            do="Hold out more texts (held_out), or ask for less agreement.",
        )
