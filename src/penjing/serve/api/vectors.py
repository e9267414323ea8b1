"""What dialects share that speak of embeddings: inputs that are texts or token ids, vectors as JSON.

Ids are the model's own, special ones included, and are run as they come.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from penjing.core.errors import EmptyError, FieldError
from penjing.serve.answers import Floats
from penjing.serve.api.documents import checked_text, shown
from penjing.serve.plane import DataPlane
from penjing.tokens import Encoding

_LARGEST_ID = (1 << 31) - 1
_MANY_NUMBERS = 16 << 10  # from here on vectors are printed off the event loop


def texts_or_ids(sent: Any, *, where: str) -> list[str] | list[Encoding]:
    """The inputs behind a text, a list of token ids, or a list of either.

    Raises:
        FieldError: none of these, or texts and ids mixed.
        EmptyError: no input, or an empty one.
    """
    if isinstance(sent, str) or (isinstance(sent, list) and sent and not isinstance(sent[0], str | list)):
        sent = [sent]
    if not isinstance(sent, list):
        raise _form_error(sent, where)
    if not sent or not all(one or not isinstance(one, str | list) for one in sent):
        raise EmptyError(f"`{where}` cannot be empty")
    if all(isinstance(one, str) for one in sent):
        return [checked_text(one, where=where) for one in sent]
    return [_ids(one, where) for one in sent]


def _ids(sent: Any, where: str) -> Encoding:
    if not isinstance(sent, list) or not all(type(one) is int for one in sent):
        raise _form_error(sent, where)
    if odd := next((one for one in sent if not 0 <= one <= _LARGEST_ID), None):
        raise FieldError(f"{where} holds the token id {shown(odd)}", field=where, expected="ids of the model")
    return Encoding(np.array(sent, np.int64))


def _form_error(sent: Any, where: str) -> FieldError:
    return FieldError(
        f"{where} holds {shown(sent)}",
        field=where,
        expected="a string, a list of strings, a list of token ids or a list of such lists",
    )


def as_numbers(vector: Floats) -> str:
    """A vector as a list of numbers, or a matrix as a list of lists; nine digits give every float32 back."""
    if vector.ndim > 1:
        return f"[{','.join(map(as_numbers, vector))}]"
    return f"[{','.join([str(one) if one.is_integer() else f'{one:.9g}' for one in vector.tolist()])}]"


def as_base64(vector: Floats) -> str:
    """A vector as a string: base64 of little-endian float32."""
    return f'"{base64.b64encode(vector.astype("<f4").tobytes()).decode()}"'


async def printed(
    plane: DataPlane, vectors: Sequence[Floats], how: Callable[[Floats], str] = as_numbers, *, deadline: float
) -> list[str]:
    """Each vector, or each matrix, as JSON; many of them without holding others up.

    Raises:
        DeadlineError: they were not printed in time.
    """
    if sum(vector.size for vector in vectors) <= _MANY_NUMBERS:
        return [how(vector) for vector in vectors]
    return await plane.aside(lambda: [how(vector) for vector in vectors], deadline=deadline)
