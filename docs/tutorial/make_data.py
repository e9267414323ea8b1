"""Small data for the tutorials: an online shop, in English and Chinese, made from templates.

    python docs/tutorial/make_data.py PART      writes the files of one tutorial into the folder PART

Promise: no network, the same bytes each time, and no row of a test file in its training file. Real text is harder
than this.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

# English, its plural, Chinese, the measure word that counts it.
ITEMS = (
    ("desk lamp", "desk lamps", "台灯", "盏"), ("kettle", "kettles", "水壶", "个"), ("mirror", "mirrors", "镜子", "面"),
    ("umbrella", "umbrellas", "雨伞", "把"), ("chair", "chairs", "椅子", "把"), ("blanket", "blankets", "毯子", "条"),
    ("towel", "towels", "毛巾", "条"), ("vase", "vases", "花瓶", "个"), ("coat", "coats", "大衣", "件"),
    ("shirt", "shirts", "衬衫", "件"), ("notebook", "notebooks", "笔记本", "本"), ("table", "tables", "桌子", "张"),
    ("bed", "beds", "床", "张"), ("radio", "radios", "收音机", "台"), ("fan", "fans", "风扇", "台"),
    ("wall clock", "wall clocks", "挂钟", "个"), ("bookshelf", "bookshelves", "书架", "个"),
    ("pen", "pens", "钢笔", "支"),
)  # fmt: skip
CITIES = (
    ("Shanghai", "上海"), ("Beijing", "北京"), ("Chengdu", "成都"), ("Hangzhou", "杭州"), ("Nanjing", "南京"),
    ("Lisbon", "里斯本"), ("Porto", "波尔图"), ("Turin", "都灵"), ("Osaka", "大阪"), ("Bergen", "卑尔根"),
)  # fmt: skip
MAKERS = (
    ("Northwind", "北风"),
    ("Seastar", "海星"),
    ("Redwood", "红木"),
    ("Bluestone", "青石"),
    ("Kingfisher", "翠鸟"),
)
DAYS = (("Monday", "星期一"), ("Tuesday", "星期二"), ("Wednesday", "星期三"), ("Thursday", "星期四"),
        ("Friday", "星期五"), ("Saturday", "星期六"))  # fmt: skip
NUMBERS = (
    ("two", "两"),
    ("three", "三"),
    ("four", "四"),
    ("five", "五"),
    ("six", "六"),
    ("eight", "八"),
    ("ten", "十"),
)
FIRST = ("Ann", "Omar", "Lucy", "Ivan", "Mei", "Rosa", "Tom", "Nadia", "Paul", "Greta")
LAST = ("Chen", "Haddad", "Okafor", "Petrov", "Tanaka", "Silva", "Berg", "Rossi", "Novak", "Price")
FAMILY, GIVEN = tuple("王李张刘陈杨赵黄"), ("芳", "强", "敏", "洋", "静", "建国", "小红", "子涵")

# A fact that may be told of an item: how it is said and asked, and what the answer is. {} is the answer.
FACTS = {
    "en": (
        ("It is made by {}.", "Who makes the {item}?", [one for one, _ in MAKERS]),
        ("It costs {}.", "How much is the {item}?", [f"{number} euros" for number in range(5, 95, 5)]),
        ("It is sent from {}.", "Where is the {item} sent from?", [one for one, _ in CITIES]),
        ("The warranty lasts {}.", "How long is the warranty of the {item}?", [f"{one} years" for one, _ in NUMBERS]),
        ("It arrives on {}.", "When does the {item} arrive?", [one for one, _ in DAYS]),
    ),
    "zh": (
        ("它由{}公司生产。", "{item}是哪家公司生产的？", [one for _, one in MAKERS]),
        ("它的价格是{}。", "{item}多少钱？", [f"{number}元" for number in range(20, 400, 20)]),
        ("它从{}发货。", "{item}从哪里发货？", [one for _, one in CITIES]),
        ("保修期为{}。", "{item}的保修期多久？", [f"{one}年" for _, one in NUMBERS]),
        ("它在{}送到。", "{item}什么时候送到？", [one for _, one in DAYS]),
    ),
}
ASKED = (
    ("Where is my {0}?", "我的{0}在哪里？"), ("How much is the {0}?", "这{1}{0}多少钱？"),
    ("Can I return the {0}?", "可以退{0}吗？"), ("The {0} is broken.", "{0}坏了。"),
    ("I want to order a {0}.", "我想订一{1}{0}。"), ("Please cancel the {0}.", "请取消{0}的订单。"),
    ("Is there a larger {0}?", "有没有大一点的{0}？"), ("Does the {0} come in blue?", "{0}有蓝色的吗？"),
)  # fmt: skip
SAID = {
    "delivery": ("my parcel has not come", "the courier went to the wrong door", "包裹还没有送到"),
    "billing": ("I was charged twice", "the invoice is wrong", "你们多收了钱"),
    "returns": ("I want to send it back", "I would like a refund", "我要退货"),
    "praise": ("your people were very kind", "I will buy here again", "服务很好"),
}
OPINIONS = ((2, ("lovely", "excellent", "很好")), (1, ("good", "useful", "不错")), (0, ("fine", "ordinary", "一般")),
            (-1, ("thin", "slow", "太慢")), (-2, ("broken", "useless", "很差")))  # fmt: skip

Rows = list[dict[str, Any]]
Row = TypeVar("Row")


def entities(rng: random.Random) -> dict[str, Rows]:
    """Sentences with people, places and companies; the people of the test file are in no training row."""
    return {"train.jsonl": [_sentence(rng, held=False) for _ in range(500)],
            "test.jsonl": [_sentence(rng, held=True) for _ in range(100)]}  # fmt: skip


def questions(rng: random.Random) -> dict[str, Rows]:
    """Questions on short descriptions of items; a fifth ask what the description does not say."""
    rows = _distinct((_question(rng) for _ in iter(int, 1)), 1500, key=lambda row: row["context"])
    return {"train.jsonl": rows[:1400], "test.jsonl": rows[1400:]}


def translation(rng: random.Random) -> dict[str, list[str]]:
    """Aligned lines: what customers write, and the same in Chinese."""
    pairs = _distinct((_pair(rng) for _ in iter(int, 1)), 2600, key=lambda pair: pair[0])
    rng.shuffle(pairs)
    split = {"train": pairs[:2500], "test": pairs[2500:]}
    return {f"{name}.{code}": [pair[at] for pair in some] for name, some in split.items()
            for at, code in enumerate(("en", "zh"))}  # fmt: skip


def replies(rng: random.Random) -> dict[str, Rows | list[str]]:
    """Old orders with their replies as plain text; and others as prompts with completions."""
    rows = _distinct((_order(rng) for _ in iter(int, 1)), 1700, key=lambda row: row["prompt"])
    old = [f"{row['prompt']}{row['completion']}" for row in rows[:1200]]
    return {"old.txt": old, "train.jsonl": rows[1200:1600], "test.jsonl": rows[1600:]}


def pairs(rng: random.Random) -> dict[str, Rows]:
    """A question in English, the same in Chinese; the test file's questions are in no training row."""
    rows = [{"anchor": english.format(one), "positive": chinese.format(zh, measure)}
            for english, chinese in ASKED for one, _, zh, measure in ITEMS]  # fmt: skip
    rng.shuffle(rows)
    return {"train.jsonl": rows[:-24], "test.jsonl": rows[-24:]}


def messages(rng: random.Random) -> dict[str, Rows]:
    """Messages with the topics they touch, reviews with their stars, and eight texts for each of four labels."""
    posts = _distinct((_post(rng) for _ in iter(int, 1)), 900, key=lambda row: row["text"])
    reviews = _distinct((_review(rng) for _ in iter(int, 1)), 900, key=lambda row: row["review"])
    single = [{"text": row["text"], "label": row["labels"][0]} for row in posts if len(row["labels"]) == 1]
    few = [row for label in SAID for row in [one for one in single if one["label"] == label][:8]]
    rest = [row for row in single if row not in few]
    return {"posts.jsonl": posts, "reviews.jsonl": reviews, "few.jsonl": few, "rest.jsonl": rest}


def notes(rng: random.Random) -> dict[str, list[str]]:
    """Plain text about the shop, a sentence or two a line."""
    lines = [row["context"] for row in (_question(rng) for _ in range(1500))]
    lines += [str(_sentence(rng, held=at % 2 == 0)["text"]) for at in range(700)]
    lines += [one for _ in range(300) for one in _pair(rng)]
    lines += [str(row[name]) for _ in range(150) for row, name in ((_post(rng), "text"), (_review(rng), "review"))]
    rng.shuffle(lines)
    return {"notes.txt": [str(line) for line in lines]}


def handbook(rng: random.Random) -> dict[str, list[str] | Rows]:
    """A text on each of some items, and a table of stored answers."""
    made: dict[str, list[str] | Rows] = {}
    for at, (name, _, zh, _) in enumerate(ITEMS[:8]):
        language, item = ("en", name) if at % 2 == 0 else ("zh", zh)
        told = [said.format(rng.choice(answers)) for said, _, answers in FACTS[language][:3]]
        made[f"{name.replace(' ', '-')}.txt"] = [_joined([_opening(item, language), *told])]
    made["faq.jsonl"] = [{"question": "Where is your shop?", "answer": "In Porto, Rua das Flores 12."},
                         {"question": "你们几点开门？", "answer": "早上九点。"}]  # fmt: skip
    return made


def _sentence(rng: random.Random, *, held: bool) -> dict[str, Any]:
    """A text with its spans; ``held`` takes the names that are kept for the test file."""
    (maker, shop), (city, town), (item, _, thing, _) = rng.choice(MAKERS), rng.choice(CITIES), rng.choice(ITEMS)
    parts: list[list[str | tuple[str, str]]]
    if rng.random() < 0.5:
        person = _name(rng, FIRST, LAST, " ", held)
        parts = [
            [(person, "PER"), " of ", (maker, "ORG"), f" wants a {item} in ", (city, "LOC"), "."],
            [f"Please send the {item} to ", (person, "PER"), " in ", (city, "LOC"), "."],
            [(maker, "ORG"), f" sells the {item} that ", (person, "PER"), " has seen."],
            [f"On {rng.choice(DAYS)[0]} ", (person, "PER"), " goes to ", (city, "LOC"), " for ", (maker, "ORG"), "."],
        ]
    else:
        person = _name(rng, FAMILY, GIVEN, "", held)
        parts = [
            [(shop, "ORG"), "公司的", (person, "PER"), "想在", (town, "LOC"), f"买{thing}。"],
            [f"请把{thing}寄给", (town, "LOC"), "的", (person, "PER"), "。"],
            [(person, "PER"), "看过", (shop, "ORG"), f"公司的{thing}。"],
        ]
    return _marked(rng.choice(parts))


def _name(rng: random.Random, first: Iterable[str], last: Iterable[str], gap: str, held: bool) -> str:
    names = [f"{one}{gap}{other}" for one in first for other in last]
    return rng.choice([name for at, name in enumerate(names) if (at % 5 == 0) == held])


def _marked(parts: Iterable[str | tuple[str, str]]) -> dict[str, Any]:
    text, spans = "", []
    for part in parts:
        if isinstance(part, tuple):
            spans.append([len(text), len(text) + len(part[0]), part[1]])
        text += part if isinstance(part, str) else part[0]
    return {"text": text, "spans": spans}


def _opening(item: str, language: str) -> str:
    return f"About the {item}." if language == "en" else f"关于{item}。"


def _joined(sentences: list[str]) -> str:
    return (" " if sentences[0].isascii() else "").join(sentences)


def _question(rng: random.Random) -> dict[str, Any]:
    language = rng.choice(("en", "zh"))
    item = rng.choice(ITEMS)[0 if language == "en" else 2]
    *facts, other = rng.sample(FACTS[language], rng.choice((3, 4)))
    told = [(said, asked, rng.choice(answers)) for said, asked, answers in facts]
    context = _joined([_opening(item, language), *(said.format(answer) for said, _, answer in told)])
    if rng.random() < 0.2:
        return {"question": other[1].format(item=item), "context": context, "answer": "", "answer_start": 0}
    said, asked, answer = rng.choice(told)
    start = context.index(said.format(answer)) + said.index("{")
    return {"question": asked.format(item=item), "context": context, "answer": answer, "answer_start": start}


def _pair(rng: random.Random) -> tuple[str, str]:
    (one, many, zh, measure), (city, town), (day, weekday) = rng.choice(ITEMS), rng.choice(CITIES), rng.choice(DAYS)
    number, count = rng.choice(NUMBERS)
    return rng.choice([
        (f"We need {number} {many} on {day}.", f"我们{weekday}需要{count}{measure}{zh}。"),
        (f"Please send {number} {many} to {city}.", f"请寄{count}{measure}{zh}到{town}。"),
        (f"The {one} arrived in {city} on {day}.", f"{zh}{weekday}到了{town}。"),
        (f"I bought {number} {many}, but the {one} is broken.", f"我买了{count}{measure}{zh}，但是{zh}坏了。"),
        (f"On {day} {number} {many} go to {city}.", f"{weekday}{count}{measure}{zh}送往{town}。"),
    ])  # fmt: skip


def _order(rng: random.Random) -> dict[str, Any]:
    (_, many, zh, measure), (city, town), (day, weekday) = rng.choice(ITEMS), rng.choice(CITIES), rng.choice(DAYS)
    number, count = rng.choice(NUMBERS)
    return rng.choice([
        {"prompt": f"Order: {number} {many}, {city}, {day}. Reply:",
         "completion": f" Thank you! Your {number} {many} leave on {day} for {city}."},
        {"prompt": f"订单：{count}{measure}{zh}，{town}，{weekday}。回复：",
         "completion": f"谢谢！您的{count}{measure}{zh}{weekday}发往{town}。"},
    ])  # fmt: skip


def _post(rng: random.Random) -> dict[str, Any]:
    labels = rng.sample(sorted(SAID), rng.choice((0, 1, 1, 2, 2, 3)))
    item = rng.choice(ITEMS)
    said = [rng.choice(SAID[label]) for label in labels]
    rng.shuffle(said)
    text = "; ".join([rng.choice((f"About the {item[0]}", f"{item[2]}", f"I have a {item[0]}")), *said])
    return {"text": f"{text}.", "labels": sorted(labels)}


def _review(rng: random.Random) -> dict[str, Any]:
    item, parts = rng.choice(ITEMS), rng.sample(OPINIONS, 2)
    words = [rng.choice(said) for _, said in parts]
    stars = 3 + sum(weight for weight, _ in parts) / 2
    return {"review": f"The {item[0]} ({item[2]}) of {rng.choice(MAKERS)[0]}: {', '.join(words)}.", "stars": stars}


def _distinct(made: Iterator[Row], count: int, *, key: Callable[[Row], object]) -> list[Row]:
    found: dict[object, Row] = {}
    while len(found) < count:
        row = next(made)
        found.setdefault(key(row), row)
    return list(found.values())


PARTS: dict[str, Callable[[random.Random], dict[str, Rows | list[str]]]] = {
    one.__name__: one for one in (entities, questions, translation, replies, pairs, messages, notes, handbook)
}


def main() -> None:
    """Write the files of one tutorial."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("part", choices=PARTS)
    told = options.parse_args()
    for name, rows in PARTS[told.part](random.Random(7)).items():
        path = Path(told.part, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        print(f"{path}: {len(rows)} line{'s' * (len(rows) > 1)}")


if __name__ == "__main__":
    main()
