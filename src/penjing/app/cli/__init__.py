"""The command line: a file a command, errors in one place.

Exit status: 0 done, 1 refused by a gate or failed, 2 wrong usage. Results go to standard output
(``--json`` for programs), progress and errors to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from typing import NoReturn

import typer

from penjing.app.cli import (
    audit,
    cascade,
    compress,
    conformance,
    delta,
    distill,
    evaluate,
    export,
    finetune,
    gateway,
    keys,
    knowledge,
    models,
    predict,
    pretrain,
    prune,
    quantize,
    quickstart,
    search,
    serve,
    simulate,
)
from penjing.core.errors import PenjingError, ResourceError

_INTERRUPTED = 130  # the status that typer makes of Ctrl-C

app = typer.Typer(
    name="penjing",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Penjing 盆景: the whole life of a pretrained language model. "
    "Fine-tune, evaluate, quantise, export, serve; every step measured.",
)
for module in (
    quickstart,
    pretrain,
    finetune,
    evaluate,
    quantize,
    prune,
    distill,
    cascade,
    compress,
    export,
    delta,
    models,
    predict,
    search,
    knowledge,
    keys,
    audit,
    serve,
    gateway,
    simulate,
    conformance,
):
    module.add_to(app)


def main() -> None:
    """Entry point of ``penjing``."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except PenjingError as error:
        _fail(error)
    except BrokenPipeError:  # the reader of our output has gone: nothing to say and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the very end
        sys.exit(1)
    except OSError as error:  # where no layer below knew more
        where = f"{error.filename}: " if error.filename else ""
        _fail(ResourceError(f"{where}{error.strerror or error}", expected="a file or directory that can be used"))
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            sys.stderr.write("penjing: stopped. A fine-tuning goes on from its last saved state when started again.\n")
        raise


def _fail(error: PenjingError) -> NoReturn:
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"error": error.as_dict()}, ensure_ascii=False) + "\n")
    sys.stderr.write(f"penjing: {error}\n")
    sys.exit(error.exit_status)
