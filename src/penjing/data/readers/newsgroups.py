"""20 newsgroups by scikit-learn's own fetcher: ``sklearn:20newsgroups[?remove=headers,footers,quotes]``.

scikit-learn downloads the original archive, keeps it in its own data folder as a pickle that it
wrote itself, and reads that back; Penjing neither writes nor opens that file.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

from penjing.core.errors import ResourceError
from penjing.data.examples import Row

REMOVABLE = ("headers", "footers", "quotes")


def read_newsgroups(*, subset: str, remove: tuple[str, ...] = ()) -> Iterator[Row]:
    """Rows ``{"text", "label"}`` of ``train`` or ``test``, in scikit-learn's unshuffled order.

    Args:
        subset: ``train`` or ``test``.
        remove: parts of each post to leave out, of :data:`REMOVABLE`.

    Raises:
        ResourceError: scikit-learn is not installed, or its download failed.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise ResourceError(
            "package 'scikit-learn' is not installed",
            expected="it, for the source sklearn:20newsgroups",
            do="Run: pip install scikit-learn. Or use the source 20newsgroups, which does not need it.",
        )
    posts = _fetch(subset, remove)
    for number, (text, target) in enumerate(zip(posts.data, posts.target, strict=True), start=1):
        yield Row({"text": text, "label": posts.target_names[target]}, f"sklearn:20newsgroups/{subset}:{number}")


def _fetch(subset: str, remove: tuple[str, ...]) -> Any:
    datasets = importlib.import_module("sklearn.datasets")
    try:
        return datasets.fetch_20newsgroups(subset=subset, remove=remove, shuffle=False)
    except OSError as error:  # URLError is one
        raise ResourceError(
            f"scikit-learn could not download 20 newsgroups: {error}",
            expected="the network, or its archive in scikit-learn's data folder",
            do="Use the source 20newsgroups (from a package registry) or local files.",
        ) from error
