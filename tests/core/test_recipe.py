"""A recipe is laid over its defaults layer by layer, and all its faults are told at once."""

from __future__ import annotations

import hashlib
from typing import Literal

import pytest
from pydantic import Field

from penjing.core.errors import RecipeError
from penjing.core.nouns import Frozen
from penjing.core.recipe import MAX_RECIPE_BYTES, check_recipe, recipe_digest, resolve_recipe


class Training(Frozen):
    epochs: int = Field(3, ge=1)
    learning_rate: float = 2e-5


class Source(Frozen):
    path: str
    encoding: str = "utf-8"


class Recipe(Frozen):
    name: str = "model"
    engine: Literal["auto", "fast"] = "auto"
    training: Training = Training()
    warm_up: Training | None = None
    sources: tuple[Source, ...] = ()
    by_name: dict[str, Training] = {}  # noqa: RUF012  (pydantic copies it)
    labels: list[str] | None = None


@pytest.fixture
def file(tmp_path):
    """Write a recipe and return its path."""

    def write(content):
        path = tmp_path / "recipe.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_nothing_gives_the_defaults(file):
    assert (
        resolve_recipe(Recipe)
        == resolve_recipe(Recipe, file(""))
        == resolve_recipe(Recipe, file("# later\n"))
        == Recipe()
    )


def test_each_layer_goes_over_the_former(file):
    base = {"name": "base", "engine": "fast", "training": {"epochs": 1, "learning_rate": 1.0}}
    path = file("name: file\ntraining: {epochs: 2}")
    flags = {"name": "flag", "training.epochs": None, "labels": ["a"]}
    layered = resolve_recipe(Recipe, path, ["name=set"], flags=flags, base=base)
    assert layered == Recipe(name="set", engine="fast", training=Training(epochs=2, learning_rate=1.0), labels=["a"])
    assert resolve_recipe(Recipe, path, flags=flags, base=base).name == "flag"
    assert resolve_recipe(Recipe, path, flags={"name": None}, base=base).name == "file"
    assert resolve_recipe(Recipe, base=base).training.learning_rate == 1.0


def test_what_a_command_starts_from_is_left_as_it_was():
    base = {"training": {"epochs": 1}}
    resolve_recipe(Recipe, base=base, overrides=["training.epochs=9"])
    assert base == {"training": {"epochs": 1}}


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        (["name=x"], {"name": "x"}),
        (["name=a=b==c"], {"name": "a=b==c"}),
        ([" name = spaced words "], {"name": "spaced words"}),
        (["name='3'"], {"name": "3"}),
        (["name=no"], {"name": "no"}),
        (["name='#1'"], {"name": "#1"}),
        (["name=one", "name=two"], {"name": "two"}),
        (["training.epochs=7"], {"training": Training(epochs=7)}),
        (["training.learning_rate=1e-4"], {"training": Training(learning_rate=1e-4)}),
        (["training.epochs=7", "training.learning_rate=1"], {"training": Training(epochs=7, learning_rate=1)}),
        (["training={epochs: 4}"], {"training": Training(epochs=4)}),
        (["warm_up.epochs=2"], {"warm_up": Training(epochs=2)}),
        (["warm_up.epochs=2", "warm_up=null"], {}),
        (["labels=[a, 'b c', no]"], {"labels": ["a", "b c", "no"]}),
        (["labels=[]"], {"labels": []}),
        (["labels="], {}),
        (["sources=[{path: a}, {path: b, encoding: gbk}]"],
         {"sources": (Source(path="a"), Source(path="b", encoding="gbk"))}),
        (["by_name.a.epochs=2"], {"by_name": {"a": Training(epochs=2)}}),
    ],
)  # fmt: skip
def test_settings_from_the_command_line(overrides, changed):
    assert resolve_recipe(Recipe, overrides=overrides) == Recipe(**changed)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name", "--set 'name'; expected KEY=VALUE, such as training.epochs=3"),
        ("=x", "--set '=x'; expected KEY=VALUE"),
        ("  =x", "expected KEY=VALUE"),
        ("name=[", r"--set name=\[ is not YAML"),
        ("name=*x", r"aliases \(\*x\)"),
        ("name=!!python/name:os.system", "tags"),
        ("name=" + "[" * 50_000, "nested too deeply"),
        ("name=#1", "--set name=#1: to YAML that is a comment; expected a value; quote one that begins with #"),
        ("name.first=x", None),
        ("training..epochs=1", r"training\.: unknown key; known here: epochs, learning_rate"),
        ("training.epoch=1", r"training\.epoch: unknown key; did you mean 'epochs'\?"),
        ("zzz=1", "zzz: unknown key; known here: name, engine, training, warm_up, sources, by_name, labels"),
    ],
)
def test_settings_that_are_wrong(override, message):
    with pytest.raises(RecipeError, match=message):
        resolve_recipe(Recipe, overrides=[override])


def test_a_value_is_no_section(file):
    with pytest.raises(RecipeError, match=r"cannot set name\.first: name is 'x'; expected a section"):
        resolve_recipe(Recipe, file("name: x"), ["name.first=y"])


def test_a_section_left_empty_can_be_filled(file):
    assert resolve_recipe(Recipe, file("training:"), ["training.epochs=5"]).training.epochs == 5
    with pytest.raises(RecipeError, match=r"training: expected a section of epochs, learning_rate \(came: None\)"):
        resolve_recipe(Recipe, file("training:"))


FAULTY = """
nam: x
engine: quick
training: {epochs: 0, lerning_rate: 1}
warm_up: {epoch: 1}
sources: [{path: 1, encodin: x}, {}]
by_name: {a: {epoch: 1}}
labels: 5
"""


def test_every_fault_is_told_at_once(file):
    with pytest.raises(RecipeError) as met:
        resolve_recipe(Recipe, file(FAULTY))
    first, *faults, last = str(met.value).splitlines()
    assert first.endswith("recipe.yaml has 10 faults:")
    assert last == "Correct the keys above and run again."
    told = {fault.strip().rstrip(".") for fault in faults}
    assert told == {
        "nam: unknown key; did you mean 'name'?",
        "engine: input should be 'auto' or 'fast' (came: 'quick')",
        "training.epochs: input should be greater than or equal to 1 (came: 0)",
        "training.lerning_rate: unknown key; did you mean 'learning_rate'?",
        "warm_up.epoch: unknown key; did you mean 'epochs'?",
        "sources.0.path: input should be a valid string (came: 1)",
        "sources.0.encodin: unknown key; did you mean 'encoding'?",
        "sources.1.path: field required",
        "by_name.a.epoch: unknown key; did you mean 'epochs'?",
        "labels: input should be a valid list (came: 5)",
    }


def test_one_fault_is_one_fault(file):
    with pytest.raises(RecipeError, match=r"has 1 fault:\n  nam: unknown key"):
        resolve_recipe(Recipe, file("nam: x"))


def test_a_long_wrong_value_is_shown_in_part():
    with pytest.raises(RecipeError) as met:
        check_recipe(Recipe, {"training": {"epochs": "x" * 5000}}, origin="here")
    assert len(str(met.value)) < 300


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfea", r"recipe .*recipe\.yaml is not UTF-8 at byte 0; expected UTF-8 text"),
        ("name: é".encode("latin-1"), "not UTF-8 at byte 6"),
        ("- a", "holds a list; expected a mapping of keys to values"),
        ("just words", "holds a str; expected a mapping"),
        ("3", "holds a int"),
        ("a: [", r"recipe\.yaml is not YAML"),
        ("name: x\nname: y", "gives name twice"),
        ("1: x", "1: keys should be strings"),
        (b"#" * (MAX_RECIPE_BYTES + 1), f"is too long; expected at most {MAX_RECIPE_BYTES} bytes"),
    ],
)
def test_files_that_are_no_recipes(file, content, message):
    with pytest.raises(RecipeError, match=message):
        resolve_recipe(Recipe, file(content))


def test_a_file_of_just_the_most_bytes_and_one_with_a_mark_are_read(file):
    head = b"\xef\xbb\xbfname: x\n"
    assert resolve_recipe(Recipe, file(head + b"#" * (MAX_RECIPE_BYTES - len(head)))).name == "x"


def test_a_file_that_is_not_there_or_is_no_file(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(RecipeError, match=r"cannot be read: .*expected a YAML file"):
            resolve_recipe(Recipe, path)


def test_the_digest_is_of_what_was_resolved_not_of_how_it_was_said(file):
    said = resolve_recipe(Recipe, file("training: {epochs: 3}\nname: model"))
    assert recipe_digest(said) == recipe_digest(Recipe())
    assert recipe_digest(Recipe(name="other")) != recipe_digest(Recipe())


def test_the_digest_stays_what_it_was():
    """If this fails, the digests kept in every store no longer match their recipes."""
    recipe = Recipe(name="名", training=Training(learning_rate=2e-5), labels=["a", "b"])
    text = (
        '{"by_name":{},"engine":"auto","labels":["a","b"],"name":"名","sources":[],'
        '"training":{"epochs":3,"learning_rate":2e-05},"warm_up":null}'
    )
    assert recipe_digest(recipe) == hashlib.sha256(text.encode()).hexdigest()
    assert recipe_digest(recipe) == "07cba77c62872a6cd45b8037cb42bdd0d8a39c1e1b08df6eddcccca52ccc18f7"


@pytest.mark.parametrize("mark", list("|>,-&*!%@?:`;"))
def test_a_mark_alone_is_itself(mark):
    class Marked(Frozen):
        delimiter: str

    assert resolve_recipe(Marked, None, [f"delimiter={mark}"]).delimiter == mark
