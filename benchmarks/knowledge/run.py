"""Open question answering over SQuAD's dev articles: Penjing's knowledge base against BM25-20 and Transformers.

The peer is the usual open-domain recipe: the 20 best passages by BM25, all read in one padded batch by the same
fp32 reader in Transformers, the best span against "no answer" over all of them. Both take turns, ten questions at a
time, on the same passages and with the same number of threads.

    python benchmarks/knowledge/run.py BASE READER_CHECKPOINT QUESTIONS.json --store STORE --questions 200
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

import penjing
from penjing.app.knowledge import Knowledge
from penjing.core.machine import usable_cores
from penjing.core.nouns import Measurement
from penjing.evaluate.answer_match import match
from penjing.evaluate.intervals import newcombe_paired, share
from penjing.knowledge import KnowledgeBase

sys.path.insert(0, str(Path(__file__).parents[1]))
from result import SystemResult, finish

PASSAGES, LONGEST, WARM_UP, TURN = 20, 30, 10, 10
PEER, OURS = "BM25, 20 passages, Transformers fp32", "Penjing"


class Row(NamedTuple):
    """One question to one system: times in ms, on the clock and of the processor alone, and how right it was."""

    took: float
    worked: float
    is_exact: bool
    f1: float
    read: int


class Peer:
    """The 20 best passages in one padded batch.

    Args:
        checkpoint: of the reader.
    """

    def __init__(self, checkpoint: Path) -> None:
        torch.set_num_threads(usable_cores())
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForQuestionAnswering.from_pretrained(checkpoint).eval()

    def answer(self, base: KnowledgeBase, question: str) -> tuple[str, int]:
        """The best span over all of them, and how many they are."""
        passages = base.passages([hit.chunk for hit in base.by_words(question, most=PASSAGES)])
        texts = [one.text for one in passages]
        batch = self.tokenizer(
            [question] * len(texts), texts, truncation="only_second", max_length=256, padding=True,
            return_offsets_mapping=True, return_tensors="pt",
        )  # fmt: skip
        offsets = batch.pop("offset_mapping")
        with torch.inference_mode():
            out = self.model(**batch)
        best = (float("-inf"), "")
        for row, text in enumerate(texts):
            start, end = out.start_logits[row].numpy(), out.end_logits[row].numpy()
            inside = np.array([kind == 1 for kind in batch.sequence_ids(row)])
            scores = start[:, None] + end[None, :]
            allowed = np.triu(np.ones_like(scores)) - np.triu(np.ones_like(scores), LONGEST)
            scores = np.where((allowed > 0) & inside[:, None] & inside[None, :], scores, -np.inf)
            first, last = np.unravel_index(scores.argmax(), scores.shape)
            score = float(scores[first, last] - start[0] - end[0])
            if score > best[0]:
                best = (score, text[int(offsets[row][first][0]) : int(offsets[row][last][1])])
        return best[1], len(texts)


def main() -> None:
    """Measure and write the result."""
    told = _told()
    asked = json.loads(told.questions_file.read_text(encoding="utf-8"))
    random.Random(told.seed).shuffle(asked)
    peer, rows = Peer(told.checkpoint), {PEER: [], OURS: []}
    with penjing.open_knowledge(told.base, sets=["search.threshold=0"], store=told.store) as opened:
        ways = {
            PEER: lambda question: peer.answer(opened.base, question),
            OURS: lambda question: _ours(opened, question),
        }
        for at in range(0, told.questions + WARM_UP, TURN):
            for name, ask in ways.items():
                found = [_timed(ask, one) for one in asked[at : at + TURN]]
                rows[name] += found if at >= WARM_UP else []
        documents, passages = opened.base.count()
    config = {"questions": told.questions, "seed": told.seed, "documents": documents, "passages": passages}
    asked_what = (
        f"Answering {told.questions} questions out of {documents:,} paragraphs ({passages:,} passages) of SQuAD 1.1's "
        f"dev set, one question at a time, {torch.get_num_threads()} thread(s):"
    )
    finish("knowledge", asked_what, config=config, systems=_systems(rows), notes=_notes(rows))


def _told() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("questions_file", type=Path, help='[{"question": …, "answers": […]}]')
    parser.add_argument("--store", type=Path, default=Path("store"))
    parser.add_argument("--questions", type=int, default=200, help="a multiple of ten")
    parser.add_argument("--seed", type=int, default=5)
    return parser.parse_args()


def _timed(ask: Callable[[str], tuple[str, int]], asked: dict[str, Any]) -> Row:
    began, busy = time.perf_counter(), time.process_time()
    answer, read = ask(asked["question"])
    took, worked = (time.perf_counter() - began) * 1000, (time.process_time() - busy) * 1000
    return Row(took, worked, *match(answer, asked["answers"], question=asked["question"]), read)


def _ours(opened: Knowledge, question: str) -> tuple[str, int]:
    answer = opened.ask(question)
    return (answer.best.answer if answer.best else ""), answer.read


def _systems(rows: dict[str, list[Row]]) -> list[SystemResult]:
    made = []
    for name, own in rows.items():
        n = len(own)
        speed = {f"p{part}_ms": _ms([row.took for row in own], part) for part in (50, 99)}
        ratio = _median(rows[PEER], "took") / _median(own, "took")
        made.append(
            SystemResult(
                name=name,
                ours=name == OURS,
                settings={"passages_read": float(np.mean([row.read for row in own]))},
                quality={
                    "accuracy": share(sum(row.is_exact for row in own), n),
                    "f1": Measurement(value=float(np.mean([row.f1 for row in own])), n=n),
                },
                speed=speed | {"processor_p50_ms": _ms([row.worked for row in own], 50)},
                ratio=None if name == PEER else Measurement(value=ratio, n=n),
            )
        )
    return made


def _ms(values: list[float], part: int) -> Measurement:
    return Measurement(value=float(np.percentile(values, part)), n=len(values), unit="ms")


def _median(own: list[Row], what: str) -> float:
    return float(np.median([getattr(row, what) for row in own]))


def _notes(rows: dict[str, list[Row]]) -> tuple[str, ...]:
    told = "; ".join(f"{name} {np.mean([row.f1 for row in own]):.1%}" for name, own in rows.items())
    pairs = [(one.is_exact, other.is_exact) for one, other in zip(rows[OURS], rows[PEER], strict=True)]
    n, only_ours, only_peer = len(pairs), pairs.count((True, False)), pairs.count((False, True))
    low, high = newcombe_paired(
        pairs.count((True, True)), pairs.count((False, False)), only_first=only_peer, only_second=only_ours
    )
    read = "; ".join(f"{name} {np.mean([row.read for row in own]):.2f}" for name, own in rows.items())
    busy = "; ".join(f"{name} {_median(own, 'worked'):,.1f}" for name, own in rows.items())
    ratio = _median(rows[PEER], "worked") / _median(rows[OURS], "worked")
    change = (
        f"On the same questions Penjing's exact match is {(only_ours - only_peer) / n * 100:+.1f} points "
        f"[{low * 100:.1f}, {high * 100:.1f}] off the peer's."
    )
    times = (
        "The ratio is that of the medians on the clock. Processor time alone, which others on the machine do not "
        f"lengthen, median ms: {busy}; ratio {ratio:.1f} ×."
    )
    return f"Accuracy is exact match. F1: {told}.", change, f"Passages read a question: {read}.", times


if __name__ == "__main__":
    main()
