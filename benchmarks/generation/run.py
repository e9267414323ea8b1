"""Tokens a second through the server, at one and at several streams, beside Transformers' generate on the same cores.

python benchmarks/generation/run.py CHECKPOINT [--streams 1 8] [--tokens 64] [--rounds 2]

CHECKPOINT is anything ``penjing export`` takes, a GGUF file too. Prompts are chats; answers are greedy and all of the
same length, so that every system writes the same number of tokens. Systems take turns. Prints a table; each
figure is the best of its rounds, for others may use the machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

import penjing
from penjing.app.publishing import export_generator
from penjing.core.machine import describe_machine
from penjing.engines import Prompt
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store

TOPICS = ("the sea", "a small garden", "trains at night", "bread", "the moon", "an old clock", "winter", "a letter")


def chats(count: int) -> list[list[dict[str, str]]]:
    """As many different questions."""
    asked = [f"Write a long story about {TOPICS[at % len(TOPICS)]}, part {at}." for at in range(count)]
    return [[{"role": "user", "content": one}] for one in asked]


def ask(url: str, model: str, messages: list[dict[str, str]], tokens: int) -> int:
    """One answer; how many tokens it has."""
    body = {"model": model, "messages": messages, "max_tokens": tokens, "temperature": 0}
    reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=600).raise_for_status()
    return int(reply.json()["usage"]["completion_tokens"])


def served(url: str, model: str, streams: int, tokens: int) -> float:
    """Tokens a second of as many clients at once."""
    began = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        written = sum(pool.map(lambda one: ask(url, model, one, tokens), chats(streams)))
    return written / (time.perf_counter() - began)


def peer(checkpoint: Path) -> Callable[[int, int], float]:
    """Transformers' generate, one chat after another."""
    import transformers

    words = transformers.AutoTokenizer.from_pretrained(checkpoint)
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint).eval()

    def run(streams: int, tokens: int) -> float:
        began, written = time.perf_counter(), 0
        for messages in chats(streams):
            ids = words.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
            made = model.generate(**ids, max_new_tokens=tokens, do_sample=False)
            written += made.shape[1] - ids["input_ids"].shape[1]
        return written / (time.perf_counter() - began)

    return run


def publish_int8(store: Path) -> None:
    """The int8 form as the second version."""
    home = Store(store)
    parent = home.bundle("writer", 1)
    with home.stage("writer") as staging:
        import shutil

        shutil.copytree(parent.path / "checkpoint", staging.path / "checkpoint")
        probes = [Prompt(list(range(5, 25)))]
        spec, _ = export_generator(staging.path, probes=probes, precision="int8")
        staging.publish(parent.manifest.draft().model_copy(update={"engine": spec}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        penjing.export(told.checkpoint, name="writer", store=store)
        publish_int8(store)
        checkpoint = Store(store).bundle("writer", 1).path / "checkpoint"
        recipe = ServeRecipe(port=0, versions={"kind": "all"})
        with running_server(StoreCatalogue(Store(store)), recipe) as server:
            transformers_of = peer(checkpoint)
            systems: dict[str, Callable[[int, int], float]] = {
                "Transformers generate": transformers_of,
                "Penjing fp32": lambda streams, tokens: served(server.url, "writer/1", streams, tokens),
                "Penjing int8": lambda streams, tokens: served(server.url, "writer/2", streams, tokens),
            }
            best = {(name, streams): 0.0 for name in systems for streams in told.streams}
            for _ in range(told.rounds):
                for (name, streams), figure in best.items():
                    best[name, streams] = max(figure, systems[name](streams, told.tokens))
    print(f"{describe_machine()}")
    for (name, streams), figure in best.items():
        print(f"{name:24} {streams:3} streams {figure:8.1f} tokens/s")


if __name__ == "__main__":
    main()
