"""Files for the benchmark out of SQuAD 1.1: rows to teach a reader, paragraphs for the base, questions.

Rows are cut to whole sentences around the answer, as passages are; with three in ten questions comes a passage of the
same article that shares words with it and does not hold the answer. Questions to calibrate with, to judge the reader
with and to measure with are apart.

    python benchmarks/knowledge/rows.py train-v1.1.json dev-v1.1.json FOLDER
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

ROWS, PAIRS, QUESTIONS, CALIBRATING, TESTING = 12_000, 3_000, 2_000, 300, 300
SHORTEST, LONGEST, WITHOUT = 35, 100, 0.3
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"(])")
Row = dict[str, Any]


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("folder", type=Path)
    told = parser.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(11)
    train, dev = (json.loads(path.read_text(encoding="utf-8"))["data"] for path in (told.train, told.dev))
    taught = [row for _, row in zip(range(ROWS), _taught(train, rng), strict=False)]
    _write(told.folder / "train.jsonl", taught)
    _write(told.folder / "pairs.jsonl", _pairs(taught[:PAIRS]))
    _write(told.folder / "paragraphs.jsonl", _paragraphs(dev))
    asked = [row for article in dev for _, row in _asked(article)]
    rng.shuffle(asked)
    questions = [{"question": row["question"], "answers": row["answers"]["text"]} for row in asked]
    (told.folder / "questions.json").write_text(json.dumps(questions[:QUESTIONS]), encoding="utf-8")
    others = [{"question": row["question"], "answers": []} for article in train[-40:] for _, row in _asked(article)]
    some = questions[QUESTIONS : QUESTIONS + 2 * CALIBRATING // 3] + rng.sample(others, CALIBRATING // 3)
    _write(told.folder / "calibration.jsonl", rng.sample(some, len(some)))
    _write(told.folder / "test.jsonl", asked[-TESTING:])


def _asked(article: Row) -> Iterator[tuple[Row, Row]]:
    """Each question of an article, with its paragraph."""
    for paragraph in article["paragraphs"]:
        for one in paragraph["qas"]:
            answers = {what: [answer[what] for answer in one["answers"]] for what in ("text", "answer_start")}
            told = {"id": one["id"], "question": one["question"].strip(), "context": paragraph["context"]}
            yield paragraph, told | {"answers": answers}


def _taught(articles: list[Row], rng: random.Random) -> Iterator[Row]:
    rows = [(article, *both) for article in articles for both in _asked(article)]
    rng.shuffle(rows)
    for article, paragraph, row in rows:
        most, (text, start) = rng.randint(SHORTEST, LONGEST), (row["answers"][what][0] for what in row["answers"])
        begin, window = _window(row["context"], start, most, rng)
        if not row["question"] or window[start - begin :][: len(text)] != text:
            continue
        yield row | {"context": window, "answers": {"text": [text], "answer_start": [start - begin]}}
        if rng.random() < WITHOUT:
            others = [one["context"] for one in article["paragraphs"] if one is not paragraph]
            near = max(rng.sample(others, min(8, len(others))), key=lambda one: _shared(row["question"], one))
            best = max(_sentences(near), key=lambda place: _shared(row["question"], near[slice(*place)]))
            if text.lower() not in near.lower():
                cut = {"context": _window(near, best[0], most, rng)[1], "answers": {"text": [], "answer_start": []}}
                yield row | {"id": f"{row['id']}-none"} | cut


def _window(text: str, at: int, most: int, rng: random.Random) -> tuple[int, str]:
    """Sentences around a place, so many words at most unless one sentence has more; and where they begin."""
    places = _sentences(text)
    first = last = next(number for number, (begin, end) in enumerate(places) if begin <= at < end)
    while True:
        ways = [way for way in ((first - 1, last), (first, last + 1)) if way[0] >= 0 and way[1] < len(places)]
        wider = rng.choice(ways) if ways else None
        if wider is None or len(text[places[wider[0]][0] : places[wider[1]][1]].split()) > most:
            return places[first][0], text[places[first][0] : places[last][1]].rstrip()
        first, last = wider


def _sentences(text: str) -> list[tuple[int, int]]:
    at = [0, *(found.end() for found in _END.finditer(text)), len(text)]
    return list(pairwise(at))


def _shared(question: str, text: str) -> int:
    asked, said = (set(re.findall(r"\w{4,}", one.lower())) for one in (question, text))
    return len(asked & said)


def _pairs(rows: Iterable[Row]) -> list[Row]:
    by_text = {row["context"]: row["question"] for row in rows if row["answers"]["text"]}
    return [{"text1": question, "text2": context} for context, question in by_text.items()]


def _paragraphs(articles: list[Row]) -> Iterator[Row]:
    for article in articles:
        for number, paragraph in enumerate(article["paragraphs"]):
            title = article["title"]
            yield {"id": f"{title}-{number}", "title": title.replace("_", " "), "text": paragraph["context"]}


def _write(path: Path, rows: Iterable[Row]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
