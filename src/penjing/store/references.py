"""Names in a store: models, aliases, and references that lead to one version of a model."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import NamedTuple

from penjing.core.errors import NotFoundError, UsageError
from penjing.store.manifest import NAME_PATTERN

ALIAS_PATTERN = r"^[A-Za-z][A-Za-z0-9._-]{0,63}$"
RESERVED_NAME = "penjing.db"
_VERSION = re.compile(r"0*([1-9][0-9]{0,17})")  # as TensorFlow Serving: int64, leading zeros allowed
_MOST_SHOWN = 20


class Reference(NamedTuple):
    """One version of a model, named by number or alias; the highest version if ``ref`` is None."""

    model: str
    ref: int | str | None = None

    def __str__(self) -> str:
        if self.ref is None:
            return self.model
        return f"{self.model}/{self.ref}" if isinstance(self.ref, int) else f"{self.model}@{self.ref}"


def parse_reference(text: str) -> Reference:
    """Read ``model``, ``model/2`` or ``model@alias``; ``str`` of the result gives the same reference back.

    Raises:
        UsageError: the text is none of the three.
    """
    mark = next((character for character in text if character in "/@"), None)
    model, _, rest = text.partition(mark) if mark else (text, "", "")
    check_model_name(model)
    if mark == "@":
        return Reference(model, check_alias_name(rest))
    if mark == "/":
        version = parse_version(rest)
        if version is None:
            hint = f"For an alias write {model}@{rest}." if re.fullmatch(ALIAS_PATTERN, rest) else ""
            raise UsageError(f"version {rest!r} in {text!r}", expected="a whole number from 1, as in model/2", do=hint)
        return Reference(model, version)
    return Reference(model)


def parse_version(name: str) -> int | None:
    """The version that a directory name or digit string stands for (``00000123`` is 123), or None."""
    found = _VERSION.fullmatch(name)
    return int(found[1]) if found else None


def check_model_name(name: str) -> str:
    """Return ``name``.

    Raises:
        UsageError: it cannot name a model.
    """
    if not re.fullmatch(NAME_PATTERN, name) or name.startswith(RESERVED_NAME):
        raise UsageError(
            f"model name {name!r}",
            expected="1 to 128 letters, digits, '.', '_' or '-', the first a letter or digit, and not the store's own "
            f"{RESERVED_NAME}",
        )
    return name


def check_alias_name(name: str) -> str:
    """Return ``name``.

    Raises:
        UsageError: it cannot name an alias.
    """
    if not re.fullmatch(ALIAS_PATTERN, name):
        raise UsageError(f"alias {name!r}", expected="1 to 64 letters, digits, '.', '_' or '-', the first a letter")
    return name


def unknown(what: str, name: str, *, known: Iterable[object], place: str) -> NotFoundError:
    """The error for a name that is not there: names the nearest one and lists what there is."""
    there = [str(item) for item in known]
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
    shown = ", ".join(there[:_MOST_SHOWN]) + (f" and {len(there) - _MOST_SHOWN} more" * (len(there) > _MOST_SHOWN))
    return NotFoundError(
        f"{what} {name!r} is not in {place}",
        expected=f"one of: {shown}" if there else f"a {what} that exists; there is none yet",
        do=f"Did you mean '{near[0]}'?" if near else "",
    )
