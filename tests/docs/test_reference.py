"""The generated reference is fresh and leaves nothing out; the hand-written one names every field."""

import re
from pathlib import Path

import pytest

from docs.markdown import DOCS, ROOT, read
from docs.reference import COMMANDS, WRITER
from penjing.serve.answers import Cost
from penjing.store import Manifest, aliases, history

REFERENCE = DOCS / "reference"


@pytest.mark.parametrize("name", ["cli.md", "recipes.md", "errors.md", "metrics.md"])
def test_the_page_is_what_the_code_says(name):
    assert read(REFERENCE / name) == WRITER.pages()[name], f"{name} is stale; run: make docs"


def test_every_command_says_what_it_does_and_what_it_takes():
    page = read(REFERENCE / "cli.md")
    for command in COMMANDS.values():
        assert f"# penjing {command.name}\n" in page
        assert command.about, command.name
        assert all(one.meaning for one in command.parameters), command.name


def test_each_command_with_a_recipe_has_its_keys_explained():
    with_recipe = {
        command.name for command in COMMANDS.values() if any("--recipe" in one.names for one in command.parameters)
    }
    assert with_recipe == set(WRITER.RECIPES)
    page = read(REFERENCE / "recipes.md")
    for name, schema in WRITER.RECIPES.items():
        for key in WRITER.keys(schema):
            assert f"| `{key.name}` |" in page
            assert key.meaning, f"{name}: {key.name} is not in the Attributes of its model"


def test_every_error_code_is_explained_and_is_its_own():
    page, kinds = read(REFERENCE / "errors.md"), WRITER.error_classes()
    for kind in kinds:
        assert f"| `{kind.code}` | {kind.__name__} |" in page
        assert re.search(rf"\b{kind.__name__}\b", WRITER.errors.__doc__), "not drawn in the tree"
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_every_metric_is_explained_under_the_name_it_is_read_by():
    page = read(REFERENCE / "metrics.md")
    for metric in WRITER.METRICS:
        assert metric.meaning
        assert metric.name in page or metric.name.removesuffix("_total") in page


def test_every_header_that_a_reply_carries_is_explained():
    page = read(REFERENCE / "http.md")
    for name, _ in Cost(cut=1).headers():
        assert f"`{name.decode()}`" in page


def test_every_field_of_the_manifest_is_explained():
    page = read(REFERENCE / "bundle.md")
    assert [name for name in Manifest.model_fields if f"| `{name}` |" not in page] == []


def test_every_kind_of_ledger_entry_is_explained():
    page = read(REFERENCE / "bundle.md")
    source = "".join(read(path) for path in (ROOT / "src").rglob("*.py"))
    kinds = set(re.findall(r'ledger\.append\(\s*"([a-z-]+)"', source))
    kinds |= {
        history.PUBLISHED,
        history.REMOVED,
        history.FOUND,
        history.MISSING,
        aliases.ALIAS_SET,
        aliases.ALIAS_DELETED,
    }
    assert {"evaluated", "version-published"} <= kinds
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in page] == []


def test_the_writer_changes_nothing_when_run_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(WRITER, "FOLDER", Path(tmp_path))
    assert WRITER.main() == 0
    assert "cli.md" in capsys.readouterr().out
    assert WRITER.main() == 0
    assert capsys.readouterr().out == ""
