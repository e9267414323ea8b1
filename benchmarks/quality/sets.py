"""The labelled sets of the quality table: where each lies, what model learns it, and how.

Sets lie in the folder that ``PENJING_DATA`` names, or in the one given; those whose form no reader takes are
written anew, as JSON lines, into a scratch folder. The settings of training are of one kind for all sets of a
task and were not chosen on any test split.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing.core.nouns import Task
from penjing.data import DataRecipe
from penjing.train.recipe import TrainingRecipe

ENGLISH, CHINESE = "all-MiniLM-L6-v2", "m3e-small-zh"
_USUAL = TrainingRecipe(epochs=3, batch_size=32, learning_rate=2e-4)
_MANY_CLASSES = TrainingRecipe(epochs=5, batch_size=32, learning_rate=2e-4)


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A line of the table.

    Attributes:
        title: as the table shows it.
        task: what is learnt.
        model: folder of the pretrained weights.
        max_tokens: of a sequence.
        data: (folder of data, scratch folder) → where its rows are.
        training: settings for both sides.
    """

    title: str
    task: Task
    model: str
    max_tokens: int
    data: Callable[[Path, Path], DataRecipe]
    training: TrainingRecipe = _USUAL


def _sst2(folder: Path, scratch: Path) -> DataRecipe:
    del scratch
    train, dev, test = (str(folder / "sst2" / f"{name}.tsv") for name in ("train", "dev", "test"))
    return DataRecipe(train=train, validation=dev, test=test, columns=("text", "label"), quotes="none")


def _banking(folder: Path, scratch: Path) -> DataRecipe:
    del scratch
    train, test = (str(folder / "banking77" / f"{name}.csv") for name in ("train", "test"))
    return DataRecipe(train=train, test=test, limit_train_rows=5000)


def _clinc(folder: Path, scratch: Path) -> DataRecipe:
    splits = json.loads((folder / "clinc150/data_full.json").read_text(encoding="utf-8"))
    files = {
        name: _rewritten(scratch / f"clinc-{name}.jsonl", ({"text": t, "label": label} for t, label in splits[name]))
        for name in ("train", "val", "test")
    }
    return DataRecipe(train=files["train"], validation=files["val"], test=files["test"])


def _clinc_scope(folder: Path, scratch: Path) -> DataRecipe:
    splits = json.loads((folder / "clinc150/data_full.json").read_text(encoding="utf-8"))
    files = {}
    for name in ("train", "val", "test"):
        rows = [{"text": text, "label": label} for text, label in splits[name] + splits[f"oos_{name}"]]
        files[name] = _rewritten(scratch / f"clinc-scope-{name}.jsonl", rows)
    return DataRecipe(
        train=files["train"], validation=files["val"], test=files["test"], out_of_scope="oos", limit_train_rows=5000
    )


def _hotels(folder: Path, scratch: Path) -> DataRecipe:
    del scratch
    return DataRecipe(
        train=str(folder / "chnsenticorp-htl-waimai/ChnSentiCorp_htl_all.csv"), text="review", limit_train_rows=1000
    )


def _conll(folder: Path, scratch: Path) -> DataRecipe:
    del scratch
    train, valid, test = (str(folder / "conll2003" / f"{name}.txt") for name in ("train", "valid", "test"))
    return DataRecipe(train=train, validation=valid, test=test, format="conll", on_leak="report", limit_train_rows=5000)


def _wnut(folder: Path, scratch: Path) -> DataRecipe:
    del scratch
    files = ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")
    train, dev, test = (str(folder / "wnut17" / name) for name in files)
    return DataRecipe(train=train, validation=dev, test=test, format="conll", on_leak="report")


def _cluener(folder: Path, scratch: Path) -> DataRecipe:
    lines = (folder / "cluener/CLUENER.json").read_text(encoding="utf-8").splitlines()
    rows = _rewritten(scratch / "cluener.jsonl", map(_spans_of, map(json.loads, lines)))
    return DataRecipe(train=rows, on_misaligned="widen", limit_train_rows=2000)  # some cut a Latin word


def _spans_of(row: dict[str, Any]) -> dict[str, Any]:
    """CLUENER's ends are of the last character; ours of the one after."""
    places = [
        {"start": first, "end": last + 1, "label": label}
        for label, names in row["label"].items()
        for spans in names.values()
        for first, last in spans
    ]
    return {"text": row["text"], "entities": places}


def _squad(folder: Path, scratch: Path) -> DataRecipe:
    del scratch
    train, test = (str(folder / "squad-v1.1" / f"{name}-v1.1.json") for name in ("train", "dev"))
    return DataRecipe(train=train, test=test, limit_train_rows=1000, limit_eval_rows=1000)


def _cmrc(folder: Path, scratch: Path) -> DataRecipe:
    del scratch
    train, test = (str(folder / "cmrc2018" / f"cmrc2018_{name}.json") for name in ("dev", "trial"))
    limits = {"limit_train_rows": 250, "limit_eval_rows": 300}
    return DataRecipe(train=train, test=test, on_misaligned="widen", **limits)  # one answer of dev stands elsewhere


def _rewritten(target: Path, rows: Iterable[dict[str, Any]]) -> str:
    target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(target)


SETS: dict[str, LabelledSet] = {
    "sst2": LabelledSet("SST-2", Task.TEXT_CLASSIFICATION, ENGLISH, 64, _sst2),
    "banking77": LabelledSet(
        "banking77, 5,000 of 10,003 rows", Task.TEXT_CLASSIFICATION, ENGLISH, 64, _banking, _MANY_CLASSES
    ),
    "clinc150": LabelledSet(
        "CLINC150, in scope", Task.TEXT_CLASSIFICATION, ENGLISH, 64, _clinc, _MANY_CLASSES
    ),
    "clinc150-scope": LabelledSet(
        "CLINC150, out of scope too, 5,000 of 15,100 rows", Task.TEXT_CLASSIFICATION, ENGLISH, 64, _clinc_scope,
        _MANY_CLASSES,
    ),
    "hotels": LabelledSet("ChnSentiCorp hotels, 1,000 rows", Task.TEXT_CLASSIFICATION, CHINESE, 96, _hotels),
    "conll2003": LabelledSet("CoNLL-2003, 5,000 of 14,987 rows", Task.TOKEN_CLASSIFICATION, ENGLISH, 128, _conll),
    "wnut17": LabelledSet("WNUT-17", Task.TOKEN_CLASSIFICATION, ENGLISH, 128, _wnut),
    "cluener": LabelledSet("CLUENER, 2,000 rows", Task.TOKEN_CLASSIFICATION, CHINESE, 128, _cluener),
    "squad": LabelledSet("SQuAD 1.1, 1,000 of 87,599 rows", Task.QUESTION_ANSWERING, ENGLISH, 256, _squad),
    "cmrc2018": LabelledSet(
        "CMRC 2018, 250 rows of dev taught, 300 of trial asked", Task.QUESTION_ANSWERING, CHINESE, 512, _cmrc,
        TrainingRecipe(epochs=3, batch_size=16, learning_rate=2e-4),
    ),
}  # fmt: skip
