from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.core.errors import UsageError
from penjing.store import Reference, parse_reference

MODELS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True).filter(lambda n: "penjing.db" not in n)
ALIASES = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,63}", fullmatch=True)
VERSIONS = st.integers(1, 10**18 - 1)


@given(st.builds(Reference, MODELS, st.none() | VERSIONS | ALIASES))
def test_a_reference_survives_the_round_trip(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference


@given(st.text(alphabet="aZ0/@._-\n é", max_size=12))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except UsageError:
        return
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("newsgroups", ("newsgroups", None)),
        ("newsgroups/2", ("newsgroups", 2)),
        ("newsgroups/00000123", ("newsgroups", 123)),
        ("newsgroups@stable", ("newsgroups", "stable")),
    ],
)
def test_the_three_forms(text: str, expected: tuple[str, int | str | None]) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "/2", "a/", "a/0", "a/-1", "a/1/2", "a@", "a@1", "a@b@c", "a@b/1", "a b", "../a", "a/²", "a\n", "a@b\n"],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)


def test_an_alias_after_a_slash_is_pointed_out() -> None:
    with pytest.raises(UsageError, match="write newsgroups@stable"):
        parse_reference("newsgroups/stable")
