"""What may be scored: the one place that checks logits, predictions and targets.

Promise: what passes here has the shapes and ranges that the metrics rely on; what does not is a
DataError that says how many values are wrong and what that usually means.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LARGEST = float(np.finfo(np.float32).max)


def checked_labels(labels: tuple[str, ...], *, least: int = 2) -> tuple[str, ...]:
    """The class names, enough of them and all different.

    Raises:
        DataError: too few, or one twice.
    """
    if len(labels) < least:
        wanted = "at least two classes to tell apart" if least == 2 else f"at least {least}"
        raise DataError(f"{len(labels)} label(s): {labels!r:.80}", expected=wanted)
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise DataError(f"labels named twice: {', '.join(twice)[:80]}", expected="one name for each class")
    return labels


def checked_logits(logits: npt.ArrayLike, classes: int, *, name: str = "logits") -> Floats:
    """Logits as float64 (n, classes), all finite.

    Raises:
        DataError: another shape or type, or a value that is NaN, infinite or beyond float32.
    """
    array = _array(logits, name)
    if array.ndim != 2 or array.shape[1] != classes or array.dtype.kind not in "fiu":
        raise DataError(
            f"{name} of shape {array.shape} and type {array.dtype}",
            expected=f"numbers of shape (n, {classes})",
            do="Give one row for each example and one column for each label, in the labels' order.",
        )
    values = array.astype(np.float64)
    broken = ~(np.abs(values) <= _LARGEST).all(axis=1)
    if broken.any():
        raise DataError(
            f"{int(broken.sum())} of {len(values)} rows of {name} hold NaN or infinite values "
            f"(the first is row {int(broken.argmax())})",
            expected="finite numbers",
            do="The model diverged in training or overflowed in a short number format: "
            "lower the learning rate, or run this model in fp32.",
        )
    return values


def checked_classes(values: npt.ArrayLike, rows: int, classes: int, *, name: str = "targets") -> Ints:
    """Class numbers as int64 (rows,), each in 0..classes-1.

    Raises:
        DataError: another shape or type, or a number that names no class.
    """
    array = _array(values, name)
    if array.shape == (0,) and rows == 0:
        return array.astype(np.int64)
    if array.shape != (rows,) or array.dtype.kind not in "iu":
        raise DataError(
            f"{name} of shape {array.shape} and type {array.dtype}", expected=f"integers of shape ({rows},)"
        )
    outside = (array < 0) | (array >= classes)
    if outside.any():
        raise DataError(
            f"{int(outside.sum())} of {rows} {name} name no class (the first is {array[outside][0]})",
            expected=f"class numbers from 0 to {classes - 1}",
            do="Leave out examples without a label, and give the labels the model was trained with.",
        )
    return array.astype(np.int64)


def _array(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} with rows of differing lengths", expected="a rectangular array") from error
