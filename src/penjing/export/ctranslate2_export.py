"""Checkpoint → CTranslate2 in a fresh process, then the proof through the engine that will serve it.

Promise: a directory that leaves here wrote, on the probes, the very tokens that Transformers writes greedily, with
log-probabilities within ``TOLERANCE``. Where two tokens are as good as equally probable, either counts.
In int8 the tokens may differ; then what is told is how many agree.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from penjing.core.errors import ParityError
from penjing.core.nouns import Measurement
from penjing.engines import GenerationOptions, Generator, Prompt
from penjing.export.process import run_worker

# Of a token's log-probability. fp32 rounding adds up over layers and vocabulary to some 1e-5; a wrong model to 0.1.
TOLERANCE = 2e-3
ANSWER_TOKENS = 24  # of a probe's answer
Reference = Sequence[Mapping[str, Any]]


def export_ctranslate2(
    checkpoint: Path, target: Path, probes: Sequence[Prompt], *, precision: Literal["fp32", "int8"] = "fp32"
) -> Reference:
    """Write the directory ``target`` and return Transformers' own answers to the probes.

    Args:
        checkpoint: in Hugging Face layout, of a family that CTranslate2 knows.
        target: made if absent.
        probes: prompts on which both forms are to be compared.
        precision: of the weights.

    Raises:
        ExportError: the converter failed; its last words are in the message.
    """
    with tempfile.TemporaryDirectory() as scratch:
        prompts, answers, draft = (Path(scratch) / name for name in ("prompts.json", "answers.json", "model"))
        write_prompts(prompts, probes)
        quantization = "none" if precision == "fp32" else "int8"
        paths = [str(path) for path in (checkpoint, draft, prompts, answers)]
        run_worker("penjing.export.ctranslate2_worker", [*paths, quantization])
        reference: Reference = json.loads(answers.read_bytes())
        shutil.copytree(draft, target, dirs_exist_ok=True)
    return reference


def prove_same_tokens(
    engine: Generator, probes: Sequence[Prompt], reference: Reference, *, tolerance: float = TOLERANCE
) -> Measurement:
    """Compare greedy answers, token by token; the largest difference of a token's log-probability.

    Raises:
        ParityError: a token or a log-probability differs.
    """
    largest = 0.0
    for number, (prompt, expected) in enumerate(zip(probes, reference, strict=True)):
        ids, logprobs = _greedy(engine, prompt)
        at = next((at for at, pair in enumerate(zip(ids, expected["ids"], strict=False)) if pair[0] != pair[1]), None)
        same = min(len(logprobs), len(expected["logprobs"])) if at is None else at + 1
        apart = np.abs(np.array(logprobs[:same]) - np.array(expected["logprobs"][:same]))
        difference = float(apart.max(initial=0.0))
        largest = max(largest, difference)
        if not difference <= tolerance:  # a tie that fell otherwise has the same log-probability
            raise ParityError(
                f"{engine.name} answers probe {number} with {ids[:same]}, log-probabilities off by {difference:.2g}",
                expected=f"{list(expected['ids'][:same])} as Transformers, within {tolerance:.0e}",
                do="Do not serve this model.",
            )
    return Measurement(value=largest, n=len(probes))


def agreement(engine: Generator, probes: Sequence[Prompt], reference: Reference) -> Measurement:
    """Share of probes answered by the very tokens of the reference."""
    same = [
        _greedy(engine, prompt)[0] == list(expected["ids"]) for prompt, expected in zip(probes, reference, strict=True)
    ]
    return Measurement(value=float(np.mean(same)), n=len(same))


def _greedy(engine: Generator, prompt: Prompt) -> tuple[list[int], list[float]]:
    """Tokens and log-probabilities, the end token's included as the reference has it."""
    options = GenerationOptions(max_tokens=ANSWER_TOKENS, logprobs=True, length_penalty=0)
    ((answer,),) = engine.generate([prompt], options)
    logprobs = [*(answer.logprobs or ())]
    if answer.finish != "stop":
        return [*answer.ids], logprobs
    ended = answer.score - float(np.sum(logprobs))  # the sum over all tokens is the score; the end's is the rest
    return [*answer.ids, engine.shape.end_ids[0]], [*logprobs, ended]


def write_prompts(path: Path, prompts: Sequence[Prompt]) -> None:
    """Write prompts as a file that both processes can read."""
    plain = [{"ids": [int(one) for one in prompt.ids], "prefix": [*map(int, prompt.prefix)]} for prompt in prompts]
    path.write_text(json.dumps(plain), encoding="utf-8")


def read_prompts(path: Path) -> list[Prompt]:
    """Read what :func:`write_prompts` wrote."""
    return [Prompt(one["ids"], one["prefix"]) for one in json.loads(path.read_bytes())]


def random_prompts(*, vocabulary: int, max_tokens: int, prefix: Sequence[int] = (), count: int = 8) -> list[Prompt]:
    """Prompts of random ids and mixed lengths, one of them as long as leaves room for an answer."""
    rng = np.random.default_rng(0)
    longest = max(1, max_tokens - ANSWER_TOKENS)
    lengths = [longest, *rng.integers(1, longest + 1, count - 1).tolist()]
    low = min(5, vocabulary - 1)
    return [Prompt(rng.integers(low, vocabulary, length).tolist(), tuple(prefix)) for length in lengths]
