"""CTranslate2: decoders and encoder-decoders on the CPU, one thread a call, weights held once.

Its vocabularies name every token by its id, so that ids go in and out unchanged. Three of its ways are kept from
callers: prompts of unequal length may have the rest of the longer ones counted in their answers or scores, so that
only calls that are told each token get such, and none of a single token among them; a source longer than 1,024
tokens would be cut without a word; its random numbers cannot be seeded for one request (see ``sampling.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.core.errors import CorruptBundleError, InvalidRequestError
from penjing.core.extras import require
from penjing.engines.base import Precision, closed
from penjing.engines.generating import Continuation, GenerationOptions, OnToken, Prompt, Token, read_shape, room
from penjing.engines.sampling import draw_answers

_UNLIMITED = 1 << 20
Floats = npt.NDArray[np.float32]


class CTranslate2Engine:
    """See :class:`penjing.engines.generating.Generator`."""

    name = "ctranslate2"

    def __init__(self, directory: Path, *, instances: int, threads: int, precision: Precision) -> None:
        package = require("ctranslate2", extra="generate")
        self.shape = read_shape(directory)
        opener = package.Generator if self.shape.kind == "decoder" else package.Translator
        compute = "int8" if precision == "int8" else "float32"
        try:
            self._model: Any = opener(
                str(directory), "cpu", compute_type=compute, inter_threads=instances, intra_threads=threads
            )
        except Exception as error:  # its own errors are RuntimeError and ValueError
            raise CorruptBundleError(
                f"CTranslate2 cannot open {directory}: {error}",
                expected="a model of its own form",
                do="Export the model again.",
            ) from error
        self.instances = instances

    def generate(
        self, prompts: Sequence[Prompt], options: GenerationOptions, *, on_token: OnToken | None = None
    ) -> list[list[Continuation]]:
        """See :meth:`Generator.generate`."""
        model = self._open()
        if on_token is not None and options.beams > 1:
            raise InvalidRequestError("tokens one by one from a beam search", expected="one beam")
        rooms = [room(self.shape, prompt) or _UNLIMITED for prompt in prompts]
        answers: list[list[Continuation]] = [[] for _ in prompts]
        limits = [min(options.max_tokens, most) for most in rooms]
        # Told one by one, answers to unequal prompts come right, but for prompts of a single token among longer ones.
        mixed = on_token is not None and self.shape.kind == "decoder" and options.min_tokens == 0
        for rows in self._alike(prompts, limits, mixed=mixed):
            most = max(limits[row] for row in rows)
            within = replace(options, max_tokens=most, min_tokens=min(options.min_tokens, most))
            some, told = [prompts[row] for row in rows], _renumbered(on_token, rows)
            if options.seed is not None and options.temperature > 0:
                found = draw_answers(self.next_logits, some, within, ends=self._ends(options), on_token=told)
            else:
                found = self._call(model, some, within, limits=[limits[row] for row in rows], on_token=told)
            for row, own in zip(rows, found, strict=True):
                answers[row] = own
        return answers

    def score(self, sequences: Sequence[Sequence[int]], targets: Sequence[Sequence[int]] | None = None) -> list[Floats]:
        """See :meth:`Generator.score`."""
        model, most = self._open(), self.shape.max_tokens or _UNLIMITED
        for ids in (*sequences, *(targets or ())):
            if len(ids) > most or (targets is None and len(ids) < 2):
                raise InvalidRequestError(f"a sequence of {len(ids):,} tokens", expected=f"2 to {most:,}")
        given = [[_names(ids) for ids in one] for one in (sequences, targets) if one is not None]
        return [np.array(one.log_probs, np.float32) for one in model.score_batch(*given, max_input_length=0)]

    def next_logits(self, prompt: Prompt, answer: Sequence[int]) -> Floats:
        """The model's outputs (vocabulary,), float32, for the token after ``answer``; all is computed anew."""
        settings: dict[str, Any] = {"return_logits_vocab": True, "beam_size": 1}
        model = self._open()
        if self.shape.kind == "decoder":
            settings |= {"max_length": 1, "include_prompt_in_result": False}
            (result,) = model.generate_batch([_names([*prompt.ids, *answer])], **settings)
        else:
            begun = [*prompt.prefix, *answer]
            settings |= {"max_decoding_length": len(begun) + 1, "max_input_length": 0}
            (result,) = model.translate_batch([_names(prompt.ids)], [_names(begun)], **settings)
        return np.array(result.logits[0][-1], np.float32)

    def close(self) -> None:
        """See :meth:`Generator.close`."""
        self._model = None

    def _open(self) -> Any:
        if self._model is None:
            raise closed(self.name)
        return self._model

    def _alike(self, prompts: Sequence[Prompt], most: Sequence[int], *, mixed: bool) -> Iterator[list[int]]:
        """Rows of prompts that may share a call: with prefixes of one length, answers of one limit; see the module."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for row, prompt in enumerate(prompts):
            length = len(prompt.ids) if self.shape.kind == "decoder" else 0
            key = (min(length, 2),) if mixed else (len(prompt.prefix), most[row], length)
            groups.setdefault(key, []).append(row)
        return iter(groups.values())

    def _ends(self, options: GenerationOptions) -> tuple[int, ...]:
        return tuple(dict.fromkeys((*self.shape.end_ids, *options.stop_ids)))

    def _call(
        self,
        model: Any,
        prompts: Sequence[Prompt],
        options: GenerationOptions,
        *,
        limits: Sequence[int],
        on_token: OnToken | None,
    ) -> list[list[Continuation]]:
        """Prompts through the model in one batch, each answer up to its own limit where tokens are told one by one."""
        ends, begun = self._ends(options), len(prompts[0].prefix)
        listening = _Listening(ends, begun, on_token, limits=limits) if on_token or options.logprobs else None
        settings = _settings(options, ends, listening)
        named = [_names(prompt.ids) for prompt in prompts]
        if self.shape.kind == "decoder":
            settings |= {"max_length": options.max_tokens, "min_length": options.min_tokens}
            results = model.generate_batch(named, include_prompt_in_result=False, **settings)
        else:
            settings |= {"max_decoding_length": begun + options.max_tokens, "max_input_length": 0}
            settings |= {"min_decoding_length": begun + options.min_tokens}
            prefixes = [_names(prompt.prefix) for prompt in prompts] if begun else None
            results = model.translate_batch(named, prefixes, **settings)
        if listening and listening.error:
            raise listening.error
        return [
            [self._continuation(result, row, at, ends=ends, begun=begun, listening=listening) for at in range(count)]
            for row, result in enumerate(results)
            for count in [len(result.scores)]
        ]

    def _continuation(
        self, result: Any, row: int, at: int, *, ends: tuple[int, ...], begun: int, listening: _Listening | None
    ) -> Continuation:
        raw = result.sequences_ids[at] if self.shape.kind == "decoder" else map(int, result.hypotheses[at])
        ids = tuple(raw)[begun:]
        ended = bool(ids) and ids[-1] in ends
        ids = ids[:-1] if ended else ids
        halted = listening is not None and (row, at) in listening.halted
        logprobs = tuple(listening.logprobs.get((row, at), ()))[: len(ids)] if listening else None
        finish = "stopped" if halted else "stop" if ended else "length"
        return Continuation(ids, float(result.scores[at]), finish, logprobs)  # type: ignore[arg-type]


class _Listening:
    """What a batch's steps tell, and whose answer is to end."""

    def __init__(self, ends: tuple[int, ...], begun: int, on_token: OnToken | None, *, limits: Sequence[int]) -> None:
        self._ends, self._begun, self._on_token, self._limits = ends, begun, on_token, limits
        self.logprobs: dict[tuple[int, int], list[float]] = {}
        self.halted: set[tuple[int, int]] = set()
        self.error: BaseException | None = None

    def __call__(self, step: Any) -> bool:
        if step.step < self._begun or self.error:
            return self.error is not None
        key = (step.batch_id, step.hypothesis_id)
        told = self.logprobs.setdefault(key, [])
        told.append(step.log_prob)
        is_last = bool(len(told) >= self._limits[step.batch_id])
        if self._on_token is None or step.token_id in self._ends:
            return is_last
        try:
            halt = self._on_token(step.batch_id, Token(step.token_id, step.log_prob, step.hypothesis_id))
        except BaseException as error:  # noqa: BLE001  raised again where the call was made, once the batch has ended
            self.error = error
            return True
        if halt:
            self.halted.add(key)
        return halt or is_last


def _settings(options: GenerationOptions, ends: tuple[int, ...], listening: Callable[[Any], bool] | None) -> Any:
    drawn = options.temperature > 0
    return {
        "beam_size": options.beams,
        "patience": options.patience,
        "num_hypotheses": options.hypotheses,
        "length_penalty": options.length_penalty,
        "repetition_penalty": options.repetition_penalty,
        "end_token": list(ends),
        "return_end_token": True,
        "return_scores": True,
        "sampling_topk": (options.top_k or 0) if drawn else 1,
        "sampling_topp": options.top_p if drawn else 1,
        "sampling_temperature": options.temperature if drawn else 1,
        "callback": listening,
    }


def _renumbered(on_token: OnToken | None, rows: Sequence[int]) -> OnToken | None:
    return None if on_token is None else lambda row, token: on_token(rows[row], token)


def _names(ids: Sequence[int]) -> list[str]:
    return [str(int(one)) for one in ids]
