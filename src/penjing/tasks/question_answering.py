"""Question answering: the part of a context that answers a question, or that none does.

targets    first and last token of the answer in each window; the first token (``[CLS]``, ``<s>``) where
           the window does not hold it
loss       mean of the cross-entropies of first and last token, each over its sequence's own tokens
decoding   the best span over all windows against the score of no answer; see :func:`ranked`

NumPy only, but for the loss, which is handed torch tensors; so the server can use this file.
Source: Devlin et al. 2019, arXiv 1810.04805, §4.2 and §4.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from penjing.tasks.spans import Spans, best_spans, token_span
from penjing.tasks.text_classification import TEMPERATURE, probabilities
from penjing.tokens.windows import Window

if TYPE_CHECKING:  # the server uses this file, and has neither
    from torch import Tensor

    from penjing.data.examples import QuestionExample

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
OUTPUTS = ("start", "end")
NO_TARGET = -100
_NULL = 0  # the token that stands for "not in this window"
_RANKED = 20
_TEMPERATURES = (0.1, 10.0, 201)  # lowest, highest, how many
_KEPT = 5
MAX_ANSWER_TOKENS, THRESHOLD = "max_answer_tokens", "no_answer_threshold"


@dataclass(frozen=True, slots=True)
class Decoding:
    """How outputs become an answer.

    Attributes:
        max_answer_tokens: longer spans are no answers.
        no_answer_threshold: how far the score of no answer may lie above that of the best span before
            no answer is given; None always gives the best span.
        temperature: that scores are divided by before they become probabilities; it moves no answer.
    """

    max_answer_tokens: int = 30
    no_answer_threshold: float | None = None
    temperature: float = 1.0

    @classmethod
    def of(cls, settings: Mapping[str, float]) -> Decoding:
        """As a manifest keeps it."""
        longest = int(settings.get(MAX_ANSWER_TOKENS, cls().max_answer_tokens))
        return cls(longest, settings.get(THRESHOLD), settings.get(TEMPERATURE, 1.0))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible answer.

    Attributes:
        text: as it stands in the context; empty for no answer.
        start, end: characters of the context, the end not included; both 0 for no answer.
        score: its share of the probability of all candidates.
    """

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a question.

    Attributes:
        answer: as it stands in the context; empty if the context holds none.
        start, end: characters of the context, the end not included; both 0 for no answer.
        score: probability of this answer.
        no_answer: probability that the context holds none.
        others: what came next, likeliest first.
    """

    answer: str
    start: int
    end: int
    score: float
    no_answer: float
    others: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranking:
    """The spans of a context by their score, and how they stand to no answer.

    Attributes:
        candidates: distinct spans, best first, with their scores (start + end, logits).
        null: score of no answer: the lowest over the windows, for one window that holds an answer will do.
    """

    candidates: Spans
    null: float

    def scores(self, threshold: float | None) -> Floats:
        """Of each span, and last of no answer, lowered by the threshold; float32 (spans + 1,)."""
        return np.append(self.candidates.scores, self.null - (threshold or 0.0)).astype(np.float32)

    def gives_none(self, threshold: float | None) -> bool:
        """Whether no answer is given."""
        return not len(self.candidates.scores) or (threshold is not None and self.null_above > threshold)

    @property
    def null_above(self) -> float:
        """How far no answer lies above the best span; infinite where there is no span."""
        return self.null - float(self.candidates.scores[0]) if len(self.candidates.scores) else float("inf")


def targets_of(example: QuestionExample, windows: Sequence[Window]) -> Ints:
    """First and last token of the answer in each window, int64 (windows, 2).

    The first answer that has a place is taught. A window without it, or with a part of it, teaches its first
    token. :data:`NO_TARGET` stands in windows that nothing can be taught with: no answer has a place, no window
    holds all of it, or the tokenizer drops its characters.
    """
    targets = np.full((len(windows), 2), _NULL, np.int64)
    if not example.answers:
        return targets
    placed = next(((text, start) for text, start in example.answers if start is not None), None)
    if placed is None:
        targets[:] = NO_TARGET
        return targets
    text, start = placed
    characters = start + len(text) - len(text.lstrip()), start + len(text.rstrip())
    last = len(windows) - 1
    met = [token_span(one, characters, is_first=not at, is_last=at == last) for at, one in enumerate(windows)]
    found = [(at, span) for at, span in enumerate(met) if span is not None]
    if not any(span.is_whole for _, span in found):
        targets[[at for at, _ in found] or slice(None)] = NO_TARGET
    for at, span in found:
        if span.is_whole:
            targets[at] = span.first, span.last
    return targets


def loss(outputs: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Σ over sequences of the mean of −log softmax(start)[first] and −log softmax(end)[last].

    Args:
        outputs: (tokens, 2), sequence by sequence.
        targets: int64 (sequences, 2), tokens counted from the first of their sequence.
        lengths: int64 (sequences,); the softmax of a sequence is over its own tokens.
    """
    import torch

    owner = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    peaks = outputs.new_full((len(lengths), 2), -torch.inf)
    peaks = peaks.scatter_reduce(0, owner[:, None].expand(-1, 2), outputs.detach(), "amax")
    summed = torch.zeros_like(peaks).index_add(0, owner, (outputs - peaks[owner]).exp())
    known = targets[:, 0] != NO_TARGET
    cells = (lengths.cumsum(0) - lengths)[:, None] + targets.clamp(min=0)
    surprise = summed.log() + peaks - outputs.gather(0, cells)
    return (surprise.mean(dim=1) * known).sum()


def ranked(
    context: str, windows: Sequence[Window], outputs: Sequence[Floats], *, max_answer_tokens: int, most: int = _RANKED
) -> Ranking:
    """The likeliest spans of a context.

    A span lies in one window and in the context, is at most ``max_answer_tokens`` long, and has its first or last
    token among those its window answers for: so an answer of up to ``stride`` tokens is found wherever the
    windows are cut.

    Args:
        context: the second text, as it was encoded.
        windows: of question and context.
        outputs: float32 (tokens, 2), a window each: how likely an answer is to begin and to end there.
        max_answer_tokens: at least 1.
        most: how many.
    """
    null = min(float(one[_NULL].sum()) for one in outputs)
    return Ranking(best_spans(context, windows, outputs, reach=max_answer_tokens, most=most), null)


def decode(context: str, windows: Sequence[Window], outputs: Sequence[Floats], *, how: Decoding) -> Answered:
    """The answer to a question.

    Probabilities are the softmax over the 20 likeliest spans and no answer, whose score is lowered by the
    threshold, all over the temperature: what is answered is always what is likeliest, unless there is no threshold.

    Args:
        context: as :func:`ranked`.
        windows: the same.
        outputs: the same.
        how: the model's own settings.
    """
    ranking = ranked(context, windows, outputs, max_answer_tokens=how.max_answer_tokens)
    spans = ranking.candidates
    shares = probabilities(ranking.scores(how.no_answer_threshold) / np.float32(how.temperature))
    none = Candidate("", 0, 0, float(shares[-1]))
    found = [
        Candidate(context[begin:end], begin, end, share)
        for begin, end, share in zip(spans.begins.tolist(), spans.ends.tolist(), shares[:-1].tolist(), strict=True)
    ]
    best, *rest = [none, *found] if ranking.gives_none(how.no_answer_threshold) else found
    return Answered(best.text, best.start, best.end, best.score, none.score, tuple(rest[: _KEPT - 1]))


def best_threshold(null_above: Sequence[float], scores: Sequence[float], has_answer: Sequence[bool]) -> float:
    """The threshold of :class:`Decoding` that gives the highest mean score.

    Args:
        null_above: of each question, see :attr:`Ranking.null_above`.
        scores: what its best span would score, 0..1.
        has_answer: whether it has an answer; one without scores 1 if none is given.

    Source: ``find_best_thresh`` of SQuAD 2.0's evaluation script. Of equal thresholds that script takes the lowest
    difference met; here it is the middle between that and the next, so that a like question falls on the same side.
    """
    above, gains = np.asarray(null_above, np.float64), np.where(has_answer, scores, -1.0)
    order = np.argsort(above, kind="stable")
    order = order[np.isfinite(above[order])]  # where there is no span, none is ever given
    above, gains = above[order], gains[order]
    if not len(above):
        return 0.0
    totals = np.append(0.0, np.cumsum(gains))  # after answering none, one, two … of them
    totals[1:-1][np.diff(above) == 0] = -np.inf  # equal ones are answered together or not at all
    answered = int(totals.argmax())
    bounds = np.concatenate([[above[0] - 1], above, [above[-1] + 1]])
    return float(bounds[answered : answered + 2].mean())


def best_temperature(rankings: Sequence[Ranking], is_right: Sequence[bool], *, threshold: float | None) -> float:
    """The temperature of :class:`Decoding` at which the probability of the answers given fits how often they are right.

    What is made small is Σ (probability − right)², and not the surprise at the right answers, which one wrong
    answer far ahead of the right one would rule; a belief that log T is near 0 (normal, width 1) is added to it.

    Args:
        rankings: of questions that were not trained on.
        is_right: whether the answer to each is.
        threshold: see :class:`Decoding`.
    """
    scores = [ranking.scores(threshold) for ranking in rankings]
    logits = np.full((len(scores), max(map(len, scores))), -np.inf, np.float32)
    for row, own in enumerate(scores):
        logits[row, : len(own)] = own
    given = [len(own) - 1 if one.gives_none(threshold) else 0 for own, one in zip(scores, rankings, strict=True)]
    right, rows = np.asarray(is_right, np.float64), np.arange(len(scores))

    def misfit(temperature: float) -> float:
        told = probabilities(logits / np.float32(temperature))[rows, given]
        return float(((told - right) ** 2).sum() + np.log(temperature) ** 2 / 2)

    temperatures: list[float] = np.geomspace(*_TEMPERATURES).tolist()
    return min(temperatures, key=misfit)
