"""The command line called in this process: its status, what it printed and what it said."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest import mock

from app.world import BRIEF, QUICK, World
from penjing.app.cli import main


@dataclass(frozen=True)
class Ran:
    """How a command ended.

    Attributes:
        status: its exit status.
        out, err: what it wrote.
    """

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one line of JSON on standard output."""
        return json.loads(self.out)


def penjing(*arguments: object, stdin: bytes = b"") -> Ran:
    """Run ``penjing arguments…``."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["penjing", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
    return Ran(status, out.getvalue(), err.getvalue())


def settings(*sets: str) -> list[str]:
    """``--set`` before each."""
    return [part for one in sets for part in ("--set", one)]


def finetuning(world: World, store: object, *more: object, name: str = "topics") -> list[object]:
    """Arguments of a quick ``penjing finetune`` on the tiny world."""
    sources = ["--model", world.checkpoint, "--train", world.train, "--test", world.test]
    return ["finetune", "--name", name, *sources, "--store", store, *settings(*QUICK, *BRIEF), *more]
