"""Every command and program in the tutorial and the README runs, as written, in a small world; so
does every program in the how-tos, whose commands ``test_commands.py`` checks.

A comment before a block can change that: ``exit status N`` expects it of the last command, and
``not run: REASON`` leaves the block out.
"""

import shutil

import pytest

from docs.markdown import DOCS, ROOT, blocks
from docs.world import World, fill_cache

TUTORIAL, README = DOCS / "tutorial" / "first-model.md", ROOT / "README.md"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    fill_cache(cache)
    made = World(tmp_path_factory.mktemp("world"), cache)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def tutored(world):
    """The world as the tutorial leaves it."""
    if not (world.folder / "store").exists():
        carry_out(world, TUTORIAL)
    return world


def runnable(page):
    return [
        block
        for block in blocks(page)
        if block.language in ("console", "python") and not block.note.startswith("not run: ")
    ]


def carry_out(world, page):
    for block in runnable(page):
        expected = int(block.note.removeprefix("exit status ")) if block.note.startswith("exit status") else 0
        done = [world.python(block.code)] if block.language == "python" else map(world.type, block.commands)
        *before, last = done
        assert [one.returncode for one in before] == [0] * len(before), f"{block}\n{[one.stderr for one in before]}"
        assert last.returncode == expected, f"{block}\n{last.stdout}\n{last.stderr}"


def test_the_tutorial(world):
    carry_out(world, TUTORIAL)
    assert len(runnable(TUTORIAL)) >= 8
    assert (world.folder / "store" / "tickets" / "2" / "report.html").is_file()


def test_the_readme(tutored):
    tutored.publish_as("newsgroups", "tickets")
    carry_out(tutored, README)
    assert len(runnable(README)) >= 4


def test_the_programs_of_the_how_tos(tutored):
    tutored.publish_as("topics", "tickets")
    fine_tuned = tutored.folder / "store" / "tickets" / "1"
    for part in ("checkpoint", "engine"):
        shutil.copytree(fine_tuned / part, tutored.folder / "exported" / part)
    programs = [block for page in sorted((DOCS / "how-to").glob("*.md")) for block in runnable(page)]
    for block in programs:
        if block.language == "python":
            done = tutored.python(block.code)
            assert done.returncode == 0, f"{block}\n{done.stderr}"
    assert (tutored.folder / "store" / "bert" / "1" / "bundle.json").is_file()
