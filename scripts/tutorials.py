#!/usr/bin/env python3
"""Carry out the tutorials, one after another, in one scratch folder. Run by ``make tutorials``.

    python scripts/tutorials.py [--write] [--folder FOLDER] [PAGE …]

Every command has to end with status 0 and to print what the page shows in form: the same keys of JSON, the same rows
of tables; and every word that a comment ``says: one, other`` before the block names. ``--write`` puts what was printed
into the pages instead, so that no output there is invented. ``--folder`` stays, and what pages before left is used.

What differs from a terminal: of progress only the last line stays, and long lines are cut.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from docs.markdown import DOCS, Block, blocks, read
from docs.world import World

# In this order: later pages use what earlier ones left in the store.
PAGES = (
    "pretraining", "text-classification", "token-classification", "question-answering", "knowledge-base",
    "feature-extraction", "translation", "text-generation",
)  # fmt: skip
_PROGRESS = re.compile(r"^ +.*: \d+%, \d+ s, \d+ s left.*\n", re.MULTILINE)
_WIDEST = 170


def main() -> int:
    """Carry out the pages that were named, or all."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(PAGES)}")
    options.add_argument("--write", action="store_true", help="put what is printed into the pages")
    options.add_argument("--folder", type=Path, help="to work in; stays")
    told = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = told.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        world = World(folder, folder / "cache")
        try:
            faults = [fault for name in told.pages or PAGES for fault in carry_out(world, name, write=told.write)]
        finally:
            world.stop()
    return bool(faults)


def carry_out(world: World, name: str, *, write: bool = False) -> list[str]:
    """Do what a page says.

    Args:
        world: where.
        name: of the page.
        write: put what was printed into it.

    Returns:
        What is not as it should be.
    """
    page, begun, faults = DOCS / "tutorial" / f"{name}.md", time.monotonic(), []
    for block in blocks(page):
        if block.language == "console":
            printed, wrong, differences = _do(world, block)
            faults += wrong if write else wrong + differences
            if write and printed:
                page.write_text(read(page).replace(block.code, printed, 1), encoding="utf-8")
    sys.stderr.write("".join(f"{fault}\n" for fault in faults))
    sys.stdout.write(f"{name}: {time.monotonic() - begun:.0f} s, {len(faults)} faults\n")
    sys.stdout.flush()
    return faults


def typed(block: Block) -> list[tuple[str, str]]:
    """Each command of a block, as it is written, and what the page shows below it."""
    found: list[tuple[str, str]] = []
    goes_on = False
    for line in block.code.splitlines(keepends=True):
        if line.startswith("$ ") or goes_on:
            found.append(("", "")) if not goes_on else None
            found[-1] = (found[-1][0] + line, "")
            goes_on = line.endswith("\\\n")
        else:
            found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def _do(world: World, block: Block) -> tuple[str, list[str], list[str]]:
    """The block as it would be written, what is wrong, and what is not printed as the page shows it."""
    new, everything, differences = "", "", []
    for (written, shown), command in zip(typed(block), block.commands, strict=True):
        serves = command.startswith("penjing serve")
        try:
            done = world.type(command if serves else f"{{ {command}\n}} 2>&1")
        except (AssertionError, subprocess.TimeoutExpired) as error:
            return "", [f"{block}: {command}\n{error}"], []
        printed = world.greeting() if serves else tidy(done.stdout)
        if done.returncode:
            return "", [f"{block}: {command}\n{done.stdout}{done.stderr}"], []
        if shape(printed) != shape(shown):
            differences.append(f"{block}: {command}\nprinted\n{printed}but the page shows\n{shown}")
        new, everything = new + written + printed, everything + printed
    says = block.note.removeprefix("says: ").split(", ") if block.note.startswith("says: ") else []
    return new, [f"{block}: {word!r} is not in\n{everything}" for word in says if word not in everything], differences


def tidy(printed: str) -> str:
    """What was printed, as a page shows it."""
    lines = [line.rstrip() for line in _PROGRESS.sub("", printed).splitlines()]
    cut = [line if len(line) <= _WIDEST else line[: _WIDEST - 2] + " …" for line in lines]
    return "".join(f"{line}\n" for line in "\n".join(cut).strip("\n").splitlines())


def shape(printed: str) -> Any:
    """What has to be alike in two runs: of JSON its keys and kinds, of all else the names of a table's rows."""
    try:
        return _kinds(json.loads(printed))
    except ValueError:
        rows = re.findall(r"^ (\S+(?: \S+)*)  +.*\d", printed, re.MULTILINE)
        return [name for name in rows if not name.endswith(":")]


def _kinds(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _kinds(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_kinds(one) for one in value]
    return "number" if isinstance(value, int | float) else type(value).__name__


if __name__ == "__main__":
    sys.exit(main())
