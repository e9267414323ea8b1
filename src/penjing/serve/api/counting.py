"""Counting each answered or failed inference under its model's name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from penjing.serve.api.faults import code_of
from penjing.serve.api.http import Request
from penjing.serve.plane import DataPlane


@contextmanager
def counted(plane: DataPlane, model: str, request: Request, *, api: str) -> Iterator[None]:
    """Count what becomes of the enclosed call.

    Args:
        plane: whose metrics.
        model: that was asked; a name that no model has is not counted, or invented ones would grow the page.
        request: began when the time counts from.
        api: the call in the dialect's word, capitalised.
    """
    code = "OK"
    try:
        yield
    except Exception as error:
        code = code_of(error)
        raise
    finally:
        count(plane, model, request, api=api, code=code)


def count(plane: DataPlane, model: str, request: Request, *, api: str, code: str) -> None:
    """Count a call that is over. See :func:`counted`."""
    if plane.models.knows(model):
        plane.metrics.of(model).replied(code, api=api, seconds=time.monotonic() - request.began)
