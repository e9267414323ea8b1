"""YAML reduced to values: what a person who writes settings means, and nothing that runs or explodes.

Promises: no tags, no aliases, no key twice in a section; a word is a string. So ``no`` is not false,
``2026-01-02`` no date, ``010`` not eight and ``1:30`` not ninety, as YAML 1.1 would have it. What
:func:`write_yaml` writes is read back as it was.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from penjing.core.errors import RecipeError

_BREAKS = re.compile("[\x85\u2028\u2029]")
_TAGS = "tag:yaml.org,2002:"
# What is kept of YAML 1.1's own kinds of words; all others are strings.
_MEANT = {
    "null": r".*",
    "bool": r"(?i:true|false)",
    "int": r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)",
    "float": "[^:]+",
}


def read_yaml(text: str, *, origin: str) -> Any:
    """The value of one YAML document; None if it is empty.

    Args:
        text: the document.
        origin: what to call it in an error.

    Raises:
        RecipeError: not YAML, or more than values.
    """
    try:
        return yaml.load(text, Loader=_ValueLoader)  # noqa: S506  (a SafeLoader)
    except RecursionError as error:
        raise RecipeError(f"{origin} is nested too deeply", expected="sections of a few levels") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise RecipeError(f"{origin} is not YAML: {error}", expected="plain YAML") from error


def write_yaml(value: Any, *, flow: bool = False) -> str:
    """Plain values as YAML, in their own order and script; ``flow`` with brackets instead of lines."""
    text: str = yaml.safe_dump(value, allow_unicode=True, sort_keys=False, default_flow_style=flow)
    if not _BREAKS.search(text):
        return text
    # PyYAML writes these line breaks as they are and reads them back as spaces.
    escaped: str = yaml.safe_dump(value, allow_unicode=False, sort_keys=False, default_flow_style=flow)
    return escaped


class _ValueLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):  # a few nested ones can expand to gigabytes
            raise yaml.YAMLError(f"aliases (*{event.anchor}) are not allowed")
        if (tag := getattr(event, "tag", None)) is not None:
            raise yaml.YAMLError(f"tags ({tag}) are not allowed")
        return super().compose_node(parent, index)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        tag = str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
        if kind is not yaml.ScalarNode:
            return tag
        meant = _MEANT.get(tag.removeprefix(_TAGS))
        return tag if meant and re.fullmatch(meant, value) else f"{_TAGS}str"

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise yaml.YAMLError(f"a section gives {', '.join(twice)} twice, from line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)
