"""``penjing predict --data SOURCE --output FILE``: a file of answers to a whole data source."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from penjing.app.answer_file import write_answers
from penjing.app.answer_rows import Row, row_of
from penjing.app.generate import SamplingRecipe, asked_of
from penjing.app.predict import predict
from penjing.app.tasks import flow_of
from penjing.core.files import digest
from penjing.core.nouns import Task
from penjing.core.progress import SILENT, Progress
from penjing.data import DataRecipe, read_texts
from penjing.store import Store, parse_reference


def predict_file(
    model: str,
    source: str,
    output: Path,
    *,
    store: Path,
    columns: DataRecipe | None = None,
    probabilities: bool = False,
    sampling: SamplingRecipe | None = None,
    progress: Progress = SILENT,
) -> None:
    """Answer every text of a source into a file; killed and called again, it goes on where it was.

    Args:
        model: reference of a version.
        source: file, folder or data set of texts.
        output: ``.csv`` and ``.parquet`` by their ending, any other is JSON lines.
        store: where the version lies.
        columns: how the source is read.
        probabilities: every label's too, or the answers that came next.
        sampling: how text is generated, by a model that does.
        progress: where to show it.

    Raises:
        NotFoundError: no such version.
        DataError: a text that cannot be read or answered; nothing is left behind.
        ResourceError: the disk refused the file.
    """
    bundle, columns = Store(store).bundle(*parse_reference(model)), columns or DataRecipe(train=source)
    task, labels = bundle.manifest.task, bundle.manifest.labels if probabilities else ()
    identity = {
        "bundle": bundle.digest,
        "source": _state(source),
        "columns": columns.model_dump(mode="json"),
        "probabilities": probabilities,
    }
    if sampling is not None:
        identity["sampling"] = sampling.model_dump(mode="json")

    def rows_after(done: int) -> Iterator[Row]:
        texts = islice(texts_of(source, columns, task=task), done, None)
        return (row_of(one, labels) for one in predict(bundle.reference, texts, store=store, sampling=sampling))

    total = sum(1 for _ in texts_of(source, columns, task=task))
    done = write_answers(output, rows_after, identity=digest(identity), total=total, progress=progress)
    if done:
        progress.say(f"Went on after the first {done:,} answers of an earlier call.")


def texts_of(source: str, columns: DataRecipe, *, task: Task) -> Iterator[Any]:
    """The texts of a source, as the task's models take them."""
    if task is Task.TEXT_GENERATION:
        return map(asked_of, read_texts(source, columns, task=task))
    flow = flow_of(task)  # texts are the same whatever text classification answers with
    return (text for example in read_texts(source, columns, task=task) for text in flow.texts([example]))


def _state(source: str) -> list[tuple[str, int, int]]:
    """Name, size and time of every file of a source; of a data set the name alone."""
    path = Path(source)
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    stats = [(str(one), one.stat()) for one in files if one.exists()]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats] or [(source, 0, 0)]
