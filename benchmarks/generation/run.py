"""How fast does the server write, to one client and to several, beside Transformers' generate on the same cores?

All systems have the same weights and answer the same chats greedily, up to the same length. They take turns, round by
round; a ratio is that of a round. Penjing is asked over HTTP by as many clients at once as there are streams;
Transformers is given one chat after another, and as many at once in one padded batch.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1]))
from forms import both_forms
from penjing.core.machine import usable_cores
from penjing.core.nouns import Measurement
from penjing.evaluate.intervals import share
from penjing.models.quiet import quiet_transformers
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from result import SystemResult, finish

TOPICS = ("the sea", "a small garden", "trains at night", "bread", "the moon", "an old clock", "winter", "a letter")
Write = Callable[[list[str]], tuple[list[str], int]]  # prompts → the answers, and their tokens in all


def prompts_for(count: int) -> list[str]:
    """As many different requests."""
    return [f"Write a long story about {TOPICS[at % len(TOPICS)]}, part {at}." for at in range(count)]


class Peer:
    """Transformers' generate.

    Args:
        checkpoint: Hugging Face layout.
        tokens: that an answer may have.
        threads: of the processor.
    """

    def __init__(self, checkpoint: Path, tokens: int, *, threads: int) -> None:
        with quiet_transformers():
            self.words = transformers.AutoTokenizer.from_pretrained(checkpoint, padding_side="left")
            self._model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
        self.words.pad_token = self.words.pad_token or self.words.eos_token
        self._tokens, self._threads = tokens, threads

    def one_by_one(self, prompts: list[str]) -> tuple[list[str], int]:
        """One prompt after another."""
        found = [self.together([one]) for one in prompts]
        return [text for texts, _ in found for text in texts], sum(count for _, count in found)

    def together(self, prompts: list[str]) -> tuple[list[str], int]:
        """All prompts in one batch, padded on the left."""
        given = self.words([self.asked(one) for one in prompts], return_tensors="pt", padding=True,
                           add_special_tokens=self.words.chat_template is None)  # fmt: skip
        given.pop("token_type_ids", None)
        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            made = self._model.generate(
                **given, max_new_tokens=self._tokens, do_sample=False, pad_token_id=self.words.pad_token_id
            )
        answers = made[:, given["input_ids"].shape[1] :]
        texts = self.words.batch_decode(answers, skip_special_tokens=True)
        return texts, int((answers != self.words.pad_token_id).sum())

    def asked(self, prompt: str) -> str:
        """As the server's chat template writes it."""
        if self.words.chat_template is None:
            return prompt
        turns = [{"role": "user", "content": prompt}]
        return str(self.words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def through_http(url: str, model: str, peer: Peer, tokens: int) -> Write:
    """As many clients at once as there are prompts."""

    def ask(prompt: str) -> tuple[str, int]:
        body = {"model": model, "prompt": peer.asked(prompt), "max_tokens": tokens, "temperature": 0}
        reply = httpx.post(f"{url}/v1/completions", json=body, timeout=600).raise_for_status().json()
        return reply["choices"][0]["text"], int(reply["usage"]["completion_tokens"])

    def write(prompts: list[str]) -> tuple[list[str], int]:
        with ThreadPoolExecutor(len(prompts)) as pool:
            found = list(pool.map(ask, prompts))
        return [text for text, _ in found], sum(count for _, count in found)

    return write


def measure(systems: dict[str, Write], streams: int, *, rounds: int, told: dict[str, Any]) -> None:
    """Let systems take turns on the same prompts, and write the result."""
    rates: dict[str, list[float]] = {name: [] for name in systems}
    said: dict[str, list[str]] = {}
    for turn in range(rounds + 1):  # the first warms up
        names = list(systems)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begun = time.perf_counter()
            said[name], tokens = systems[name](prompts_for(streams))
            rate = tokens / (time.perf_counter() - begun)
            rates[name] += [rate] if turn else []
            print(f"{streams} streams  round {turn}  {name:<36} {rate:7.1f} tokens/s", flush=True)
    first = next(iter(systems))
    results = [
        SystemResult(
            name=name,
            ours=name.startswith("Penjing"),
            quality={} if name == first else {"agreement": share(_alike(said[first], said[name]), streams)},
            speed={"tokens_per_s": _middle(own, "tokens/s")},
            ratio=None if name == first else _middle([a / b for a, b in zip(own, rates[first], strict=True)], ""),
        )
        for name, own in rates.items()
    ]
    question = f"{told['model']}, {streams} chat{'s' if streams > 1 else ''} at once, {told['tokens']} tokens each:"
    config = told | {"streams": streams, "rounds": rounds, "warm_up": 1, "transformers": transformers.__version__}
    spread = "; ".join(f"{name} {min(own):.0f}–{max(own):.0f}" for name, own in rates.items())
    notes = (f"medians of {rounds} rounds in turns; tokens/s ranged: {spread}.", "agreement is to the letter.")
    finish("generation", question, config=config, systems=results, notes=notes)


def _alike(some: list[str], others: list[str]) -> int:
    return sum(one.strip() == other.strip() for one, other in zip(some, others, strict=True))


def _middle(values: list[float], unit: str) -> Measurement:
    return Measurement(value=float(np.median(values)), n=len(values), unit=unit)


def main() -> None:
    """Publish both forms, serve them, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="a directory that penjing export takes, with a GGUF file too")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, help="a store where the versions stay for the next run")
    told = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        root, name = told.work or Path(folder), Path(told.checkpoint).name.lower()
        home = both_forms(Path(told.checkpoint), name, root)
        checkpoint = home.bundle(name, 1).path / "checkpoint"
        peer, alone = (Peer(checkpoint, told.tokens, threads=threads) for threads in (usable_cores(), 1))
        recipe = ServeRecipe(port=0, versions={"kind": "all"})
        with running_server(StoreCatalogue(home), recipe) as server:
            systems: dict[str, Write] = {
                "Transformers, one by one": peer.one_by_one,
                "Transformers, one batch": peer.together,
                "Transformers, one batch, one thread": alone.together,
                "Penjing fp32": through_http(server.url, f"{name}/1", peer, told.tokens),
                "Penjing int8": through_http(server.url, f"{name}/2", peer, told.tokens),
            }
            facts = {"model": Path(told.checkpoint).name, "tokens": told.tokens, "cores": usable_cores()}
            for streams in told.streams:
                measure(systems, streams, rounds=told.rounds, told=facts)


if __name__ == "__main__":
    main()
