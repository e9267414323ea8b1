"""Every ``penjing …`` line and every recipe in the documentation would be understood."""

import shlex
from itertools import pairwise

import pytest
import yaml

from docs.markdown import ROOT, blocks, pages
from docs.reference import COMMANDS, WRITER
from penjing.core.recipe import check_recipe

CONSOLE = [block for page in pages() for block in blocks(page) if block.language == "console"]
RECIPES = [block for page in pages() for block in blocks(page) if block.note.startswith("recipe: ")]
GENERATED = ROOT / "docs" / "reference" / "cli.md"


def _typed():
    for block in CONSOLE:
        lines = block.code.splitlines() if block.page == GENERATED else block.commands
        for line in lines:
            for part in line.split(" | "):
                words = shlex.split(part, comments=True)
                if words[:1] == ["penjing"]:
                    yield pytest.param(words[1:], id=f"{block}: {part[:60]}")


TYPED = list(_typed())


def the_command(words):
    name = " ".join(words[:2])
    return COMMANDS[name if name in COMMANDS else words[0]]


@pytest.mark.parametrize("words", TYPED)
def test_the_command_and_its_options_exist(words):
    command = the_command(words)
    known = {name: one for one in command.parameters for name in one.names}
    for option in (word for word in words if word.startswith("--")):
        assert option in known, f"penjing {command.name} has no {option}"


@pytest.mark.parametrize("words", TYPED)
def test_keys_that_are_set_exist(words):
    if "--set" not in words:
        return
    command = the_command(words)
    keys = {key.name for key in WRITER.keys(WRITER.RECIPES[command.name])}
    for option, value in pairwise(words):
        if option == "--set":
            assert value.partition("=")[0] in keys


@pytest.mark.parametrize("block", RECIPES, ids=str)
def test_recipes_are_accepted(block):
    check_recipe(WRITER.RECIPES[block.note.removeprefix("recipe: ")], yaml.safe_load(block.code), origin=str(block))


@pytest.mark.parametrize("file", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_recipes_that_come_along_are_accepted_and_say_how_they_are_run(file):
    text = file.read_text(encoding="utf-8")
    command = text.split()[2]
    check_recipe(WRITER.RECIPES[command], yaml.safe_load(text), origin=str(file))
    assert text.startswith(f"# penjing {command} --recipe recipes/{file.name}\n")
    assert not [one for one in COMMANDS[command].parameters if one.default == "required"], "more has to be typed"


def test_every_yaml_block_of_the_how_tos_is_checked():
    how_to = ROOT / "docs" / "how-to"
    unchecked = [
        str(block)
        for page in pages()
        for block in blocks(page)
        if page.is_relative_to(how_to) and block.language == "yaml" and not block.note
    ]
    assert not unchecked


def test_console_blocks_mark_what_is_typed():
    unmarked = [str(block) for block in CONSOLE if block.page != GENERATED and not block.commands]
    assert not unmarked
