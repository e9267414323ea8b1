"""Open question answering over SQuAD's dev articles: Penjing's knowledge base against BM25-20 and Transformers.

The peer is the usual open-domain recipe: the 20 best passages by BM25, all read in one padded batch by the same
fp32 reader in Transformers, the best span against "no answer" over all of them. Both take turns, question by question,
on the same passages and with the same number of threads.

    python benchmarks/knowledge/run.py BASE READER_CHECKPOINT QUESTIONS.json --store STORE --questions 60
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

import penjing
from penjing.app.knowledge import Knowledge
from penjing.core.machine import usable_cores
from penjing.core.nouns import Measurement
from penjing.evaluate.answer_match import match
from penjing.evaluate.intervals import share
from penjing.knowledge import KnowledgeBase

sys.path.insert(0, str(Path(__file__).parents[1]))
from result import SystemResult, finish

PASSAGES, LONGEST, WARM_UP = 20, 30, 3
PEER, OURS = "BM25, 20 passages, Transformers fp32", "Penjing"
Row = tuple[float, bool, float]


class Peer:
    """The 20 best passages in one padded batch.

    Args:
        checkpoint: of the reader.
    """

    def __init__(self, checkpoint: Path) -> None:
        torch.set_num_threads(usable_cores())
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForQuestionAnswering.from_pretrained(checkpoint).eval()

    def answer(self, base: KnowledgeBase, question: str) -> str:
        """The best span over all of them."""
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
        return best[1]


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
        for turn, one in enumerate(asked[: told.questions + WARM_UP]):
            for name, ask in ways.items():
                began = time.perf_counter()
                answer = ask(one["question"])
                took = (time.perf_counter() - began) * 1000
                if turn >= WARM_UP:
                    rows[name].append((took, *match(answer, one["answers"], question=one["question"])))
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
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--seed", type=int, default=5)
    return parser.parse_args()


def _ours(opened: Knowledge, question: str) -> str:
    best = opened.ask(question).best
    return best.answer if best else ""


def _systems(rows: dict[str, list[Row]]) -> list[SystemResult]:
    times = {name: np.array([row[0] for row in own]) for name, own in rows.items()}
    made = []
    for name, own in rows.items():
        n = len(own)
        speed = {
            f"p{part}_ms": Measurement(value=float(np.percentile(times[name], part)), n=n, unit="ms")
            for part in (50, 99)
        }
        ratio = float(np.median(times[PEER]) / np.median(times[name]))
        made.append(
            SystemResult(
                name=name,
                ours=name == OURS,
                quality={"accuracy": share(sum(row[1] for row in own), n)},
                speed=speed,
                ratio=None if name == PEER else Measurement(value=ratio, n=n),
            )
        )
    return made


def _notes(rows: dict[str, list[Row]]) -> tuple[str, ...]:
    told = "; ".join(f"{name} {np.mean([row[2] for row in own]):.1%}" for name, own in rows.items())
    return (f"Accuracy is exact match. F1: {told}.", "The ratio is that of the medians.")


if __name__ == "__main__":
    main()
