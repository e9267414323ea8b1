"""Drawing tokens with a seed, in plain sight: the slow reference beside an engine's own sampling.

Promise: the same seed, prompt and options give the same answer, whatever else runs.

Trade: the engine's own random numbers belong to its threads and cannot be seeded for one request, so each token is
drawn here from outputs for which the engine reads all that came before it again. An answer of n tokens costs n
readings of the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from penjing.engines.generating import Continuation, Finish, GenerationOptions, OnToken, Prompt, Token

Floats = npt.NDArray[np.float32]
# (prompt, answer so far) → outputs (vocabulary,) for the next token.
NextLogits = Callable[[Prompt, Sequence[int]], Floats]


def draw_answers(
    next_logits: NextLogits,
    prompts: Sequence[Prompt],
    options: GenerationOptions,
    *,
    ends: Sequence[int],
    on_token: OnToken | None = None,
) -> list[list[Continuation]]:
    """Draw ``options.hypotheses`` answers to each prompt, most probable first."""
    answers = []
    for row, prompt in enumerate(prompts):
        drawn = [
            _draw(next_logits, prompt, options, ends=ends, row=row, hypothesis=number, on_token=on_token)
            for number in range(options.hypotheses)
        ]
        answers.append(drawn if on_token else sorted(drawn, key=lambda one: -one.score))
    return answers


def _draw(
    next_logits: NextLogits,
    prompt: Prompt,
    options: GenerationOptions,
    *,
    ends: Sequence[int],
    row: int,
    hypothesis: int,
    on_token: OnToken | None,
) -> Continuation:
    random = np.random.default_rng((options.seed or 0, hypothesis))
    ids: list[int] = []
    logprobs: list[float] = []
    finish: Finish = "length"
    while len(ids) < options.max_tokens:
        logits = next_logits(prompt, ids).astype(np.float64)
        chances = probabilities(logits, ids, options, forbidden=ends if len(ids) < options.min_tokens else ())
        chosen = int(np.searchsorted(np.cumsum(chances), random.random(), side="right").clip(max=len(chances) - 1))
        logprobs.append(float(_log_softmax(logits)[chosen]))
        if chosen in ends:
            finish = "stop"
            break
        ids.append(chosen)
        if on_token and on_token(row, Token(chosen, logprobs[-1], hypothesis)):
            finish = "stopped"
            break
    score = float(np.sum(logprobs)) / len(logprobs) ** options.length_penalty
    return Continuation(tuple(ids), score, finish, tuple(logprobs[: len(ids)]) if options.logprobs else None)


def probabilities(
    logits: npt.NDArray[np.float64], answer: Sequence[int], options: GenerationOptions, *, forbidden: Sequence[int] = ()
) -> npt.NDArray[np.float64]:
    """The distribution that the next token is drawn from.

    Args:
        logits: outputs (vocabulary,).
        answer: what was written so far; its tokens are penalised.
        options: temperature, top_k, top_p, repetition_penalty, in Transformers' order: penalty, temperature, k, p.
        forbidden: ids that may not come.
    """
    logits = logits.copy()
    held = np.unique(np.asarray(answer, np.int64))
    if options.repetition_penalty != 1 and len(held):
        penalised = logits[held]
        factor = np.where(penalised > 0, 1 / options.repetition_penalty, options.repetition_penalty)
        logits[held] = penalised * factor
    logits[list(forbidden)] = -np.inf
    logits /= options.temperature
    if options.top_k is not None and options.top_k < len(logits):
        logits[logits < np.partition(logits, -options.top_k)[-options.top_k]] = -np.inf
    chances = np.exp(_log_softmax(logits))
    if options.top_p < 1:
        order = np.argsort(-chances, kind="stable")
        before = np.cumsum(chances[order]) - chances[order]
        chances[order[before >= options.top_p]] = 0
    kept: npt.NDArray[np.float64] = chances / chances.sum()
    return kept


def _log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shifted = logits - logits.max()
    logs: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return logs
