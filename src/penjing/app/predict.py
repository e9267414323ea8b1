"""``penjing predict``: answers to texts, without a server, in the texts' own order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from penjing.app.judging import open_drafted
from penjing.core.errors import DataError
from penjing.engines import Engine
from penjing.engines.bulk import bulk_outputs
from penjing.store import Store, parse_reference
from penjing.tasks.text_classification import Prediction, decode
from penjing.tokens import Text, TextEncoder

_WINDOW = 1024


def predict(model: str, texts: Iterable[Text], *, store: Path) -> Iterator[Prediction]:
    """Answer texts one after another; reads ahead a window at a time, so endless input is fine.

    Args:
        model: reference of a version.
        texts: texts or pairs.
        store: where the version lies.

    Raises:
        NotFoundError: no such version.
        DataError: a text that is blank or no valid Unicode; its number is in the message.
    """
    bundle = Store(store).bundle(*parse_reference(model))
    manifest = bundle.manifest
    encoder = TextEncoder(bundle.file(manifest.text.tokenizer), max_tokens=manifest.text.max_tokens)
    return _answers(iter(texts), encoder, open_drafted(bundle.path, manifest), manifest.labels)


def _answers(
    texts: Iterator[Text], encoder: TextEncoder, engine: Engine, labels: Sequence[str]
) -> Iterator[Prediction]:
    done = 0
    try:
        while window := list(islice(texts, _WINDOW)):
            for number, text in enumerate(window, start=done + 1):
                _refuse_unanswerable(text, number)
            logits = np.zeros((len(window), len(labels)), np.float32)
            for rows, outputs in bulk_outputs(engine, encoder.encode(window)):
                logits[rows] = outputs
            yield from decode(logits, labels)
            done += len(window)
    finally:
        engine.close()


def _refuse_unanswerable(text: Text, number: int) -> None:
    parts = (text,) if isinstance(text, str) else text
    if not parts[0].strip():
        raise DataError(f"text {number} is blank", expected="some text to answer", do="Leave blank lines out.")
    try:
        "".join(parts).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"text {number} holds bytes that are not UTF-8", expected="valid text") from error
