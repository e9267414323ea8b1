"""Small questions in SQuAD's form, in two scripts, some without an answer."""

from __future__ import annotations

import json
import random

KINDS = {
    "place": (("where was it", "哪里"), ("paris", "new york", "quito", "北京", "上海")),
    "person": (("who was it", "谁去"), ("ann", "bob", "carla lee", "小明", "小红")),
}
FILLERS = ("the", "saw", "near", "old", "today", "with", "我", "看", "的", "又")
WORDS = " ".join([*FILLERS, *(" ".join((*asked, *names)) for asked, names in KINDS.values())])


def question(rng, number):
    """A context of fillers with a place, a person, both or neither, and a question for one of them."""
    words = rng.choices(FILLERS, k=rng.randrange(4, 9))
    there = {kind: rng.choice(names) for kind, (_, names) in KINDS.items() if rng.random() < 0.75}
    for name in there.values():
        words.insert(rng.randrange(len(words) + 1), name)
    kind, context = rng.choice(list(KINDS)), " ".join(words)
    answers = [{"text": there[kind], "answer_start": context.index(there[kind])}] if kind in there else []
    asked = {"id": f"q{number}", "question": rng.choice(KINDS[kind][0]), "answers": answers}
    return {"context": context, "qas": [asked | {"is_impossible": not answers}]}


def write_squad(path, count, seed):
    rng = random.Random(seed)
    articles = [{"title": "x", "paragraphs": [question(rng, number) for number in range(count)]}]
    path.write_text(json.dumps({"version": "v2.0", "data": articles}, ensure_ascii=False), encoding="utf-8")
    return path
