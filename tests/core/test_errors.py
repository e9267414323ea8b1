"""The tree that is drawn is the tree that is; each error keeps its parts."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import re

import pytest

from penjing.core import errors
from penjing.core.errors import (
    DeadlineError,
    FieldError,
    OverloadedError,
    PenjingError,
    QuotaError,
    RecipeError,
    ServingError,
    UsageError,
)

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PenjingError)]
FIELDS = {
    OverloadedError: {"retry_after_s": 1.5},
    QuotaError: {"retry_after_s": 1.5},
    DeadlineError: {"waiting": True},
    FieldError: {"field": "a.b"},
}


def drawn():
    """Child → parent as the docstring draws it: four columns a level."""
    parents, path = {}, []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"    ([│├└─ ]*)(\w+(?:Error|Refusal))\b", line):
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            parents[found[2]] = path[depth - 1] if depth else None
    return parents


def test_the_drawn_tree_is_the_tree():
    assert drawn() == {kind.__name__: None if kind is PenjingError else kind.__bases__[0].__name__ for kind in CLASSES}


def test_each_error_has_one_parent_and_a_docstring():
    for kind in CLASSES:
        assert len(kind.__bases__) == 1
        assert kind.__doc__


def test_codes_are_stable():
    """Programs that read ``--json`` rely on these: add to them, change none."""
    assert {kind.__name__: kind.code for kind in CLASSES} == {
        "AuditError": "audit",
        "CheckpointError": "checkpoint",
        "ConflictError": "store-conflict",
        "ContextLengthError": "context-length",
        "CorruptBundleError": "store-corrupt",
        "DataError": "data",
        "DeadlineError": "deadline",
        "DepartedError": "departed",
        "DivergenceError": "divergence",
        "EmptyError": "empty",
        "ExportError": "export",
        "FieldError": "field",
        "ForbiddenError": "forbidden",
        "GateRefusal": "gate",
        "InvalidRequestError": "invalid-request",
        "KeyFileError": "key-file",
        "MalformedError": "malformed",
        "PreconditionError": "precondition",
        "ModelNotFoundError": "model-not-found",
        "NotFoundError": "store-not-found",
        "NotReadyError": "not-ready",
        "OverloadedError": "overloaded",
        "ParityError": "parity",
        "PenjingError": "penjing",
        "QuotaError": "quota",
        "RecipeError": "recipe",
        "ResourceError": "resource",
        "ServingError": "serving",
        "StoreError": "store",
        "TooLargeError": "too-large",
        "UnauthenticatedError": "unauthenticated",
        "UnsupportedError": "unsupported",
        "UsageError": "usage",
    }


def test_no_two_errors_share_a_code():
    codes = [kind.__dict__.get("code") for kind in CLASSES]
    assert None not in codes
    assert len(set(codes)) == len(codes)


def test_wrong_usage_exits_with_2_and_all_else_with_1():
    assert {kind: kind.exit_status for kind in CLASSES} == {
        kind: 2 if issubclass(kind, UsageError) else 1 for kind in CLASSES
    }


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"came": "port 80 is taken"}, "port 80 is taken."),
        ({"came": "port 80 is taken."}, "port 80 is taken."),
        ({"came": "label 'x'", "expected": "one of a, b"}, "label 'x'; expected one of a, b."),
        (
            {"came": "label 'x'", "expected": "one of a, b.", "do": "Map it."},
            "label 'x'; expected one of a, b. Map it.",
        ),
        ({"came": "no file", "do": "Make one."}, "no file. Make one."),
        ({"came": "key nam; did you mean 'name'?"}, "key nam; did you mean 'name'?"),
        ({"came": "2 faults:\n  a: x\n  b: y", "do": "Mend them."}, "2 faults:\n  a: x\n  b: y.\nMend them."),
    ],
)
def test_a_message_says_what_came_what_was_expected_and_what_to_do(parts, message):
    error = PenjingError(parts.pop("came"), **parts)
    assert str(error) == message


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_as_data(kind):
    error = kind("came", expected="expected", do="do", **FIELDS.get(kind, {}))
    assert json.loads(json.dumps(error.as_dict())) == {
        "code": kind.code, "came": "came", "expected": "expected", "do": "do"
    }  # fmt: skip


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
def test_an_error_survives_the_way_between_processes(kind, again):
    error = kind("this came", expected="that", do="Do so.", **FIELDS.get(kind, {}))
    other = again(error)
    assert type(other) is kind
    assert str(other) == str(error)
    assert vars(other) == vars(error)


def test_the_fields_of_serving_errors():
    assert OverloadedError("full", retry_after_s=2.5).retry_after_s == 2.5
    assert DeadlineError("late").waiting is False
    assert FieldError("absent", field="inputs").field == "inputs"
    with pytest.raises(TypeError):
        OverloadedError("full")


def test_a_recipe_error_is_wrong_usage_and_no_serving_error_is():
    assert issubclass(RecipeError, UsageError)
    assert not issubclass(ServingError, UsageError)
