"""The tutorials on each task: all are carried out, in order, by ``make test-all``; here, that they are whole."""

import importlib.util
import json
import random
import re
import sys

import pytest
import yaml

from docs.markdown import DOCS, ROOT, blocks, read
from docs.world import World
from penjing.core.nouns import Task

FOLDER = DOCS / "tutorial"
SILENT = ("> more.jsonl", "> vase.txt")


def module_of(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TUTORIALS = module_of(ROOT / "scripts" / "tutorials.py")
DATA = module_of(FOLDER / "make_data.py")
ORIGINALS = {
    "newsgroups-full": "intents", "topics-of-posts": "topics", "entities": "people", "en-de": "en-zh",
    "small-bert": "small",
}  # fmt: skip
PAGES = [FOLDER / f"{name}.md" for name in TUTORIALS.PAGES]


def test_every_page_is_carried_out():
    assert {*PAGES, FOLDER / "first-model.md"} == set(FOLDER.glob("*.md"))


def test_every_task_has_a_page_that_serves_it():
    sources = [read(page) for page in PAGES] + [read(file) for file in FOLDER.glob("*.yaml")]
    recipes = [read(ROOT / name) for name in {word for text in sources for word in text.split() if "recipes/" in word}]
    told = " ".join([*sources, *recipes])
    assert [task for task in Task if f"task: {task.value}" not in told] == [Task.TEXT_CLASSIFICATION, Task.FILL_MASK]
    assert all("$ penjing serve" in read(page) and "$ curl -sf" in read(page) for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_below_each_command_stands_what_it_printed(page):
    for block in blocks(page):
        if block.language == "console":
            empty = [written for written, shown in TUTORIALS.typed(block) if not shown]
            assert not [one for one in empty if not one.rstrip().endswith(SILENT)], block


@pytest.mark.parametrize("part", DATA.PARTS)
def test_the_data_are_the_same_each_time_and_no_test_row_is_taught(part):
    made = DATA.PARTS[part](random.Random(7))
    assert json.dumps(made) == json.dumps(DATA.PARTS[part](random.Random(7)))
    kept = {name: {json.dumps(row) for row in rows} for name, rows in made.items()}
    for test in (name for name in kept if name.startswith("test")):
        assert kept[test].isdisjoint(kept[test.replace("test", "train")])


def test_shapes_are_of_json_and_of_tables():
    assert TUTORIALS.shape('{"a": [1, "x"], "b": null}') == {"a": ["number", "str"], "b": "NoneType"}
    assert TUTORIALS.shape(" F1    99.4% [98.3, 100.0]\n texts     100\nRegistered a/1.\n") == ["F1", "texts"]
    assert TUTORIALS.shape("  Training: 100%, 8 s  loss 0.002\n") == []


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("tutorials"), tmp_path_factory.mktemp("cache"))
    yield made
    made.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TUTORIALS.PAGES)
def test_the_page_runs_and_prints_what_it_shows(world, name):
    assert TUTORIALS.carry_out(world, name) == []


@pytest.mark.slow
def test_the_table_of_tasks_is_answered(world):
    """Each ``curl`` of the index, by versions of the tutorials under the names that the recipes give."""
    assert (world.folder / "store" / "writer").is_dir(), "the tutorials were not carried out"
    for model, original in ORIGINALS.items():
        world.publish_as(model, original)
    asked = re.findall(r"\| `(curl .*?)` \|$", read(DOCS / "index.md"), re.MULTILINE)
    assert len(asked) == 10
    world.type("penjing serve --knowledge shop=shop.kb")
    for command in [*asked, *re.findall(r"`(curl .*?/ask .*?)`", read(DOCS / "index.md"))]:
        done = world.type(command.replace("curl ", "curl -sS --fail-with-body "))
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_the_table_of_tasks_names_recipes_that_give_those_names():
    rows = re.findall(
        r"^\| .* \| `penjing \w+ --recipe (\S+)` \| `curl (.*)` \|$", read(DOCS / "index.md"), re.MULTILINE
    )
    for recipe, asked in rows:
        name = yaml.safe_load(read(ROOT / recipe))["name"]
        assert f"/{name}:predict" in asked or f'"model": "{name}"' in asked
