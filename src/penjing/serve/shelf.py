"""The versions of one model that a server knows of, and the labels that lead to them."""

from __future__ import annotations

from collections.abc import Iterable

from penjing.core.errors import ModelNotFoundError
from penjing.serve.versions import State, Version


class Shelf:
    """The versions of one model. Replaced, never changed, by the loader; read by anyone.

    Attributes:
        is_settled: each version that was wanted at first has been loaded, or has failed.
    """

    __slots__ = ("is_settled", "labels", "versions")

    def __init__(self) -> None:
        self.is_settled = False
        self.versions: dict[int, Version] = {}
        self.labels: dict[str, int] = {}

    def available(self) -> list[Version]:
        """Newest first."""
        return [
            version for _, version in sorted(self.versions.items(), reverse=True) if version.state is State.AVAILABLE
        ]

    def named(self, model: str, ref: int | str) -> Version:
        """The version of a number or label.

        Raises:
            ModelNotFoundError: there is none.
        """
        number = self.labels.get(ref) if isinstance(ref, str) else ref
        version = self.versions.get(number) if number is not None else None
        if version is None:
            known: Iterable[object] = self.labels if isinstance(ref, str) else sorted(self.versions)
            raise ModelNotFoundError(
                f"model {model} has no {'label' if isinstance(ref, str) else 'version'} {ref}",
                expected=f"one of: {', '.join(map(str, known)) or 'none yet'}",
            )
        return version
