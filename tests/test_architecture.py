"""What the packages may know of each other, and how large their parts may grow.

A change of a table here is a change of the design: say why in ``docs/decisions``.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from sources import ROOT, SOURCE, functions, imports, loaded_with, modules, package, tracked

# Bottom to top.
ROWS = (
    "core", "security", "store", "tokens", "data", "engines", "models", "tasks", "privacy", "evaluate", "train",
    "export", "compress", "serve", "knowledge", "fleet", "operate", "app", "penjing",
)  # fmt: skip
TO_COME = {"privacy", "operate"}

# Package → packages it may import, type-only imports and those inside functions counted.
ALLOWED = {
    "core": set(),
    "security": {"core"},
    "store": {"core"},
    "tokens": {"core"},
    "data": {"core", "tokens"},
    "engines": {"core", "tokens"},
    "models": {"core", "tokens", "data"},
    "tasks": {"core", "tokens", "data", "engines"},
    "evaluate": {"core", "store"},
    "train": {"core", "tokens", "models"},
    "export": {"core", "tokens", "engines", "models"},
    "compress": {"core", "tokens", "engines", "export"},
    "serve": {"core", "security", "store", "tokens", "engines", "tasks"},
    "knowledge": {"core", "security", "store", "tokens", "data", "tasks", "serve"},  # data: its readers of files
    "fleet": {"core", "serve"},
    "app": {
        "core", "security", "store", "tokens", "data", "engines", "models", "tasks", "evaluate", "train", "export",
        "compress", "serve", "knowledge", "fleet",
    },
    "penjing": {"store", "serve", "knowledge", "fleet", "app"},  # names what a user imports, and loads it when used
}  # fmt: skip

WITHOUT_TORCH = {"core", "security", "store", "tokens", "engines", "serve", "knowledge", "fleet", "operate"}
TORCH = {"torch", "transformers", "accelerate", "nncf"}
ONLY_FOR_TYPES = {("tasks", "data")}  # so that the server, which decodes with tasks, loads no readers
NEVER_SERVED = {"data", "models", "train", "export", "compress", "app"}
WORKERS = {
    "penjing.export.worker",
    "penjing.export.padded_worker",
    "penjing.export.weights_worker",
    "penjing.export.tensorflow_worker",
    "penjing.export.ctranslate2_worker",
    "penjing.compress.worker",
}  # run in a process of their own


def test_the_table_has_every_package_and_leads_downwards():
    assert {package(module) for module in modules()} == set(ALLOWED)
    assert set(ROWS) == set(ALLOWED) | TO_COME
    for name, below in ALLOWED.items():
        assert all(ROWS.index(lower) < ROWS.index(name) for lower in below), name


@pytest.mark.parametrize("name", ALLOWED)
def test_a_package_imports_only_what_the_table_allows(name):
    allowed = ALLOWED[name] | {name}
    wrong = [
        f"{module}:{entry.line} imports {entry.target}"
        for module in modules()
        if package(module) == name
        for entry in imports(module)
        if entry.target.split(".")[0] == "penjing" and package(entry.target) not in allowed
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: {entry.target for entry in imports(module)} & set(modules()) for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("name", sorted(WITHOUT_TORCH - TO_COME))
def test_what_serves_never_names_torch(name):
    wrong = [
        f"{module}:{entry.line} imports {entry.target}"
        for module in modules()
        if package(module) == name
        for entry in imports(module)
        if entry.target.split(".")[0] in TORCH
    ]
    assert wrong == []


def test_loading_the_server_loads_nothing_that_trains():
    loaded = loaded_with("penjing.serve") | loaded_with("penjing.serve.__main__")
    assert {package(name) for name in loaded if name in modules()} & NEVER_SERVED == set()
    assert {name.split(".")[0] for name in loaded} & TORCH == set()


@pytest.mark.parametrize(("upper", "lower"), sorted(ONLY_FOR_TYPES))
def test_some_packages_are_known_by_their_types_only(upper, lower):
    known = [e for m in modules() if package(m) == upper for e in imports(m) if e.target.startswith(f"penjing.{lower}")]
    assert all(entry.for_types for entry in known)


def test_nobody_imports_a_worker():
    assert not [m for m in modules() for entry in imports(m) if entry.target in WORKERS]


@pytest.mark.parametrize("module", modules())
def test_no_module_is_named_for_nothing_in_particular(module):
    vague = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
    assert vague.isdisjoint(module.split("."))


# Import time -------------------------------------------------------------------------------------

# A command line is put together from its commands when it is loaded.
BUSY_ON_LOAD = {"penjing.app.cli"}
PLAIN = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _is_plain(statement):
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)  # a docstring
    if isinstance(statement, ast.If):
        return ast.unparse(statement.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
    if isinstance(statement, ast.Try):  # a library if it is there, else another
        return all(isinstance(inner, ast.ImportFrom) for inner in statement.body)
    return isinstance(statement, PLAIN)


def test_modules_define_and_do_nothing_more():
    busy = {
        module
        for module, file in modules().items()
        if not all(_is_plain(statement) for statement in ast.parse(file.read_text(encoding="utf-8")).body)
    }
    assert busy <= BUSY_ON_LOAD


LOADING = """
import json, sys, threading, time
began = time.perf_counter()
import penjing
took = time.perf_counter() - began
at_once = sorted({name.split(".")[0] for name in sys.modules})
for module in sys.argv[1:]:
    __import__(module)
print(json.dumps({
    "took": took, "at_once": at_once, "threads": threading.active_count(),
    "loaded": sorted({name.split(".")[0] for name in sys.modules}),
    "penjing": sorted({name.split(".")[1] for name in sys.modules if name.startswith("penjing.")}),
}))
"""


def load(*names):
    ran = subprocess.run(
        [sys.executable, "-c", LOADING, *names], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stderr == ""
    return json.loads(ran.stdout)


def test_importing_penjing_is_instant_and_loads_nothing_large():
    runs = [load() for _ in range(3)]
    assert min(run["took"] for run in runs) < 0.3
    assert {"numpy", "torch", "pydantic", "yaml"}.isdisjoint(runs[0]["at_once"])
    assert runs[0]["penjing"] == []


def test_importing_what_serves_starts_nothing_and_loads_no_torch():
    """The same while it answers: ``tests/serve/test_server.py``."""
    run = load(*(module for module in modules() if package(module) in WITHOUT_TORCH))
    assert {"torch", "transformers", "pyarrow", "onnx", "openvino", "onnxruntime"}.isdisjoint(run["loaded"])
    assert run["threads"] == 1
    assert NEVER_SERVED.isdisjoint(run["penjing"])


# Sizes -------------------------------------------------------------------------------------------

FILE_LINES, FILE_LINES_AT_MOST = 300, 500
FUNCTION_LINES, FUNCTION_LINES_AT_MOST = 30, 60
POSITIONAL, POSITIONAL_AT_MOST = 3, 5

LONGER_FILES = {
    "scripts/write_reference.py": "a function a page of the reference, and what they share",
    "tests/contract/open_inference_cases.py": "a table of examples, one a line",
    "tests/contract/tensorflow_serving_cases.py": "a table of examples, one a line",
}
LONGER_FUNCTIONS = {
    "src/penjing/app/export.py:export": "a command's steps in order",
    "src/penjing/app/distill.py:_teach": "a command's steps in order",
    "src/penjing/app/finishing.py:finish": "a command's steps in order",
    "src/penjing/app/distill_writing.py:distill_writer": "a command's steps in order",
    "src/penjing/app/studying.py:train_writer": "a parameter a line",
    "src/penjing/app/cli/distill.py:_distill": "a parameter a line for each option",
    "src/penjing/app/finetune.py:finetune": "a command's steps in order",
    "src/penjing/app/pretrain.py:pretrain": "a command's steps in order",
    "src/penjing/app/cascade.py:cascade": "a command's steps in order",
    "src/penjing/app/cli/cascade.py:_cascade": "a parameter a line for each option",
    "src/penjing/app/cli/compress.py:_compress": "a parameter a line for each option",
    "src/penjing/app/prune.py:prune": "a command's steps in order",
    "src/penjing/app/cli/prune.py:_prune": "a parameter a line for each option",
    "src/penjing/app/cli/quantize.py:_quantize": "a parameter a line for each option",
    "src/penjing/app/quantize.py:quantize": "a command's steps in order",
    "src/penjing/app/evidence.py:report_content": "a parameter a line for each part of a report",
    "src/penjing/app/cli/gateway.py:_gateway": "a parameter a line for each option",
    "src/penjing/app/cli/simulate.py:_simulate": "a parameter a line for each option",
    "src/penjing/app/cli/export.py:_export": "a parameter a line for each option",
    "src/penjing/app/cli/finetune.py:_finetune": "a parameter a line for each option",
    "src/penjing/app/cli/predict.py:_predict": "a parameter a line for each option",
    "src/penjing/app/cli/serve.py:_serve": "a parameter a line for each option",
    "src/penjing/app/cli/pretrain.py:_pretrain": "a parameter a line for each option",
    "src/penjing/app/cli/quickstart.py:_quickstart": "a parameter a line for each option",
    "src/penjing/app/conformance/kserve.py:_rest": "a client's checks in their order",
    "src/penjing/app/conformance/open_inference.py:_checks": "a client's checks in their order",
    "src/penjing/app/conformance/openai.py:_rest": "a client's checks in their order",
    "src/penjing/app/conformance/tensorflow_serving.py:_grpc": "a client's checks in their order",
}
MORE_BY_POSITION = {
    "src/penjing/app/judging.py:compare": "two bundles and their two lists of answers",
    "src/penjing/models/causal.py:attend": "Transformers calls attention functions so",
    "src/penjing/models/attention.py:of_first": "reads as attention(query, hidden, key, value)",
    "src/penjing/models/packed.py:forward": "the exporter gives a graph's inputs by position",
}
OPTIONS = "src/penjing/app/cli/"  # a command's parameters are options, which nobody gives by position

PYTHON = sorted(file for file in tracked() if file.suffix == ".py") or sorted(modules().values())
OURS = [function for file in PYTHON if file.is_relative_to(SOURCE) for function in functions(file)]
THEIRS = [function for file in PYTHON if not file.is_relative_to(SOURCE) for function in functions(file)]


def test_files_fit_on_some_screens():
    lines = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in PYTHON}
    assert {name for name, count in lines.items() if count > FILE_LINES} - set(LONGER_FILES) == set()
    assert max(lines.values()) <= FILE_LINES_AT_MOST


def test_functions_fit_on_one_screen():
    long = {function.where for function in OURS if function.lines > FUNCTION_LINES}
    assert long - set(LONGER_FUNCTIONS) == set()
    assert [f.where for f in (*OURS, *THEIRS) if f.lines > FUNCTION_LINES_AT_MOST] == []


def test_most_functions_are_much_shorter():
    """The house's figure: nine in ten under 25 lines, half of them under 9."""
    lines = sorted(function.lines for function in OURS)
    assert lines[len(lines) // 2] <= 9
    assert lines[len(lines) * 9 // 10] <= 25


def test_few_arguments_are_given_by_position():
    """Of more than three parameters of a public function, all but three are named by the caller."""
    called = [function for function in OURS if not function.where.startswith(OPTIONS)]
    many = {f.where for f in called if f.public and f.parameters > POSITIONAL and f.positional > POSITIONAL}
    assert many - set(MORE_BY_POSITION) == set()
    assert [function.where for function in called if function.positional > POSITIONAL_AT_MOST] == []


def test_exceptions_name_things_that_exist():
    known = {function.where for function in OURS}
    assert set(LONGER_FUNCTIONS) | set(MORE_BY_POSITION) <= known
    assert all((ROOT / name).is_file() for name in LONGER_FILES)


# What the repository may not hold ----------------------------------------------------------------

ELSEWHERE = {
    "a path of somebody's machine": r"(?<![\w.~])/(?:root|work|home/\w+|Users/\w+)/[\w.]",
    "a path of somebody's Windows": r"\b[A-Z]:\\Users\\",
    "the host of a package registry": r"https?://[^\s\"')]*(?:pypi|pythonhosted|anaconda\.org|artifactory|nexus)",
    "a choice of package registry": r"--(?:extra-)?index-url|PIP_(?:EXTRA_)?INDEX_URL",
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_no_file_speaks_of_one_machine_or_registry(what):
    if not tracked():
        pytest.skip("not in a git repository: which files belong to it is not known")
    found = []
    for file in tracked():
        text = file.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{file.relative_to(ROOT)}: {match[0]}" for match in re.finditer(ELSEWHERE[what], text)]
    assert [line for line in found if not line.startswith("tests/test_architecture.py")] == []
