"""The source as data: modules, what they import and when, functions and their sizes."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
_IMPORTERS = {"require", "import_module"}  # called with a name, they import it


@dataclass(frozen=True)
class Import:
    """One import of one module.

    Attributes:
        target: what is imported, with dots.
        line: where.
        on_load: it happens when the module is loaded; not later, and not for type checkers only.
        for_types: it is for type checkers only.
    """

    target: str
    line: int
    on_load: bool
    for_types: bool


@dataclass(frozen=True)
class Function:
    """A function or method.

    Attributes:
        where: ``path:name``, the path below the package.
        lines: from ``def`` to the end, decorators and docstring not counted.
        positional: parameters that can be given by position, ``self`` not counted.
        parameters: all of them.
        public: neither it nor its class begins with an underscore.
    """

    where: str
    lines: int
    positional: int
    parameters: int
    public: bool


@cache
def modules() -> dict[str, Path]:
    """Dotted name → file, for every module of the package."""
    found = {}
    for file in sorted((SOURCE / "penjing").rglob("*.py")):
        parts = file.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def package(module: str) -> str:
    """The row of the table a module belongs to: ``penjing.core.files`` → ``core``; the root's own, ``penjing``."""
    below = module.partition(".")[2].partition(".")[0]
    return below if (SOURCE / "penjing" / below).is_dir() and below else "penjing"


@cache
def imports(module: str) -> tuple[Import, ...]:
    """Every import of a module, whether at its head, in a function or for types only."""
    return tuple(_walk(ast.parse(modules()[module].read_text(encoding="utf-8")), on_load=True, for_types=False))


def _walk(node: ast.AST, *, on_load: bool, for_types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for target in _targets(child):
            yield Import(target, child.lineno, on_load and not for_types, for_types)
        typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(child, on_load=on_load and not later, for_types=for_types or typing_only)


def _targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"relative import of {node.module}"
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in modules() else str(node.module) for name in inner]
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in _IMPORTERS and node.args:
        named = node.args[0]
        return [named.value] if isinstance(named, ast.Constant) else []
    return []


def loaded_with(module: str) -> set[str]:
    """All that loading a module loads of this package, and the outer packages named by it all."""
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in modules():
            waiting += [entry.target for entry in imports(name) if entry.on_load]
            waiting += [name.rpartition(".")[0]] if "." in name else []
    return seen


def functions(file: Path) -> Iterator[Function]:
    """Every function of a file."""
    yield from _functions(ast.parse(file.read_text(encoding="utf-8")), str(file.relative_to(ROOT)), public=True)


def _functions(node: ast.AST, path: str, *, public: bool) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        named = public and not (getattr(child, "name", None) or "").startswith("_")
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield _function(child, path, public=named)
        yield from _functions(child, path, public=named)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, path: str, *, public: bool) -> Function:
    words = node.body[0]
    spoken = words.end_lineno - words.lineno + 1 if ast.get_docstring(node) is not None else 0
    by_position = [arg for arg in (*node.args.posonlyargs, *node.args.args) if arg.arg not in ("self", "cls")]
    return Function(
        f"{path}:{node.name}",
        node.end_lineno - node.lineno + 1 - spoken,
        len(by_position),
        len(by_position) + len(node.args.kwonlyargs),
        public,
    )


@cache
def tracked() -> tuple[Path, ...]:
    """Files that are, or are about to be, in the repository; empty outside of one."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file())
