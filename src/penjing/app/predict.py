"""``penjing predict``: answers to texts, without a server, in the texts' own order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from penjing.app.generate import Generated, SamplingRecipe, generate
from penjing.app.judging import open_drafted
from penjing.app.tasks.translation import WINDOW, translate
from penjing.core.errors import DataError, UsageError
from penjing.core.nouns import Task, Translation
from penjing.engines import Engine
from penjing.engines.bulk import bulk_outputs, bulk_token_outputs
from penjing.store import Bundle, Store, parse_reference
from penjing.tasks.answering import Answer, Answerer, answerer
from penjing.tasks.asked import Asked
from penjing.tasks.translation import Translated, Translator
from penjing.tokens import Text

_WINDOW = 1024


def predict(
    model: str, texts: Iterable[Any], *, store: Path, sampling: SamplingRecipe | None = None
) -> Iterator[Answer | Translated | Generated]:
    """Answer texts one after another; reads ahead a window at a time, so endless input is fine.

    Args:
        model: reference of a version.
        texts: texts or pairs; of a model that generates text, prompts or conversations.
        store: where the version lies.
        sampling: how text is generated, by such a model.

    Raises:
        NotFoundError: no such version.
        DataError: a text that is blank or no valid Unicode; its number is in the message.
    """
    bundle = Store(store).bundle(*parse_reference(model))
    if bundle.manifest.task is Task.TEXT_GENERATION:
        return generate(model, texts, store=store, sampling=sampling)
    if sampling is not None:
        raise UsageError(f"sampling was told, and {model} generates no text", expected="a model for text-generation")
    if bundle.manifest.translation is not None:
        return _translations(iter(texts), bundle)
    return _answers(iter(texts), answerer_of(bundle), open_drafted(bundle.path, bundle.manifest))


def answerer_of(bundle: Bundle) -> Answerer:
    """What makes answers of a bundle's outputs."""
    manifest = bundle.manifest
    return answerer(
        manifest.task,
        bundle.file(manifest.text.tokenizer),
        max_tokens=manifest.text.max_tokens,
        stride=manifest.text.stride,
        outputs=manifest.labels,
        decoding=manifest.decoding,
        embedding=manifest.embedding,
        problem=manifest.problem_type,
    )


def _answers(texts: Iterator[Text], answering: Answerer, engine: Engine) -> Iterator[Answer]:
    done = 0
    try:
        while window := list(islice(texts, _WINDOW)):
            for number, text in enumerate(window, start=done + 1):
                _refuse_unanswerable(text, number, windowed=answering.windowed)
            asked = answering.encode(window)
            yield from answering.decode(asked, outputs_of(engine, answering, asked))
            done += len(window)
    finally:
        engine.close()


def translator_of(bundle: Bundle) -> Translator:
    """What makes translations with a bundle's engine."""
    limits, how = bundle.manifest.text, bundle.manifest.translation or Translation()
    return Translator(bundle.file(limits.tokenizer), how, max_tokens=limits.max_tokens)


def _translations(texts: Iterator[Text], bundle: Bundle) -> Iterator[Translated]:
    translator, engine, done = translator_of(bundle), open_drafted(bundle.path, bundle.manifest), 0
    try:
        while window := list(islice(texts, WINDOW)):
            for number, text in enumerate(window, start=done + 1):
                _refuse_ill_formed(text, number)
            yield from translate(engine, translator, [str(text) for text in window])
            done += len(window)
    finally:
        engine.close()


def outputs_of(engine: Engine, answering: Answerer, asked: Asked) -> np.ndarray:
    """Rows of all sequences, in their order."""
    rows: list[np.ndarray] = [np.zeros((0, 0), np.float32)] * len(asked.sequences)
    if answering.reads in ("tokens", "chosen"):
        for index, outputs in bulk_token_outputs(engine, asked.sequences, reads=answering.reads):
            rows[index] = outputs
    else:
        for indices, outputs in bulk_outputs(engine, asked.sequences, reads=answering.reads):
            for index, row in zip(indices.tolist(), outputs[:, None], strict=True):
                rows[index] = row
    return np.concatenate(rows)


def _refuse_unanswerable(text: Text, number: int, *, windowed: bool) -> None:
    parts = (text,) if isinstance(text, str) else text
    read = parts if windowed else parts[:1]
    if not all(part.strip() for part in read):
        raise DataError(f"text {number} is blank", expected="some text to answer", do="Leave blank lines out.")
    _refuse_ill_formed(text, number)


def _refuse_ill_formed(text: Text, number: int) -> None:
    try:
        "".join((text,) if isinstance(text, str) else text).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"text {number} holds bytes that are not UTF-8", expected="valid text") from error
