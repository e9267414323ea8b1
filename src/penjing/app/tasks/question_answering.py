"""Question answering in the life-cycle commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part
from penjing.app.tasks.base import Judgement, TextSettings
from penjing.app.tasks.windowed import outputs_by_example
from penjing.core.nouns import Task
from penjing.core.progress import Progress
from penjing.data import QuestionExample, Split
from penjing.engines import Engine
from penjing.evaluate import AnswerComparison, AnswerScore, Change
from penjing.evaluate.answer_match import match
from penjing.tasks import question_answering
from penjing.tasks.question_answering import (
    MAX_ANSWER_TOKENS,
    NO_TARGET,
    OUTPUTS,
    THRESHOLD,
    Answered,
    Decoding,
    Ranking,
    best_temperature,
    best_threshold,
    decode,
    ranked,
    targets_of,
)
from penjing.tasks.text_classification import TEMPERATURE
from penjing.tokens import Reads, Text
from penjing.tokens.windows import WindowEncoder
from penjing.train.recipe import TrainingRecipe

Ints = npt.NDArray[np.int32]
_LEAST_ANSWER_TOKENS = 8
_SHARE_OF_ANSWERS = 0.999


@final
class QuestionAnsweringFlow:
    """See :class:`penjing.app.tasks.base.TaskFlow`.

    Predictions: int32 (questions, 2), first character of the answer and the one after its last; equal for no answer.
    """

    task = Task.QUESTION_ANSWERING
    reads: Reads = "tokens"
    windowed = True

    def outputs_for(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Start and end."""
        del labels
        return OUTPUTS

    def labels_behind(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """None: an answer has no label."""
        del outputs
        return ()

    def wants_validation(self, train: Split[QuestionExample]) -> bool:
        """Where some questions have no answer, when to give none is found on questions apart."""
        return not all(example.answers for example in train.examples)

    def part(self, split: Split[QuestionExample], text: TextSettings, outputs: Sequence[str]) -> Part:
        """Windows of question and context, with the answer's first and last token in each."""
        del outputs
        encoder = WindowEncoder(text.tokenizer, max_tokens=text.max_tokens, stride=text.stride)
        windows = encoder.encode(self.texts(split.examples))
        targets = np.concatenate(
            [targets_of(example, own) for example, own in zip(split.examples, windows, strict=True)]
        )
        sequences = [window.encoding for own in windows for window in own]
        return Part(split, sequences, targets, (targets[:, 0] != NO_TARGET).astype(np.int64), windows)

    def refuse_unteachable(self, part: Part) -> None:
        """Data without any answer in its place was refused when it was read."""

    def objective(self, train: Part, recipe: TrainingRecipe) -> Callable[[Any, Any, Any], Any]:
        """Cross-entropy of first and last token."""
        del train, recipe
        return question_answering.loss

    def settings_of(self, train: Part) -> dict[str, float]:
        """The longest span that is an answer."""
        return {MAX_ANSWER_TOKENS: _longest_answer(train)}

    def tune(
        self, engine: Engine, part: Part, outputs: Sequence[str], *, decoding: Mapping[str, float]
    ) -> dict[str, float]:
        """When to give no answer, where some questions have none; and the temperature of probabilities."""
        del outputs
        reach, rankings, met, has_answer = Decoding.of(decoding).max_answer_tokens, [], [], []
        for row, found in outputs_by_example(engine, part):
            example, windows = part.split.examples[row], (part.windows or ())[row]
            ranking = ranked(example.context, windows, found, max_answer_tokens=reach)
            rankings.append(ranking)
            met.append(match(_best(example, ranking), _right(example), question=example.question))
            has_answer.append(bool(example.answers))
        above = [ranking.null_above for ranking in rankings]
        threshold = None if all(has_answer) else best_threshold(above, [one.f1 for one in met], has_answer)
        is_right = [
            not has if ranking.gives_none(threshold) else one.exact
            for ranking, one, has in zip(rankings, met, has_answer, strict=True)
        ]
        settings = {TEMPERATURE: best_temperature(rankings, is_right, threshold=threshold)}
        return settings if threshold is None else settings | {THRESHOLD: threshold}

    def judge(
        self,
        engine: Engine,
        part: Part,
        outputs: Sequence[str],
        *,
        decoding: Mapping[str, float],
        name: str,
        progress: Progress,
    ) -> Judgement:
        """Exact match and F1."""
        del outputs
        score, places = AnswerScore(), np.zeros((part.split.rows, 2), np.int32)
        with progress.stage(name, total=part.tokens) as stage:
            for row, told in _answers(engine, part, Decoding.of(decoding)):
                example = part.split.examples[row]
                score.add(told.answer, _right(example), question=example.question, score=told.score)
                places[row] = told.start, told.end
                stage.advance(part.tokens_of(row))
        return Judgement(score.result(), places)

    def compare(self, baseline: Ints, candidate: Ints, *, part: Part, outputs: Sequence[str]) -> Change:
        """Paired by question."""
        del outputs
        comparison = AnswerComparison()
        for example, before, after in zip(part.split.examples, baseline.tolist(), candidate.tolist(), strict=True):
            comparison.add(
                example.context[slice(*before)],
                example.context[slice(*after)],
                _right(example),
                question=example.question,
                same=before == after,
            )
        return comparison.result()

    def texts(self, examples: Sequence[QuestionExample]) -> list[Text]:
        """Question and context."""
        return [(example.question, example.context) for example in examples]


def _answers(engine: Engine, part: Part, how: Decoding) -> Iterator[tuple[int, Answered]]:
    """(question, answer) as the last window of each is answered."""
    for row, outputs in outputs_by_example(engine, part):
        yield row, decode(part.split.examples[row].context, (part.windows or ())[row], outputs, how=how)


def _best(example: QuestionExample, ranking: Ranking) -> str:
    """The best span in words; empty where there is none."""
    spans = ranking.candidates
    return example.context[spans.begins[0] : spans.ends[0]] if len(spans.scores) else ""


def _right(example: QuestionExample) -> list[str]:
    return [text for text, _ in example.answers]


def _longest_answer(train: Part) -> int:
    """Tokens of the longest answers, one in a thousand left aside."""
    targets = np.asarray(train.targets)
    taught = targets[targets[:, 0] > 0]
    lengths = taught[:, 1] - taught[:, 0] + 1
    return max(_LEAST_ANSWER_TOKENS, int(np.ceil(np.quantile(lengths, _SHARE_OF_ANSWERS)))) if len(lengths) else 30
