"""What the evidence was measured on: processor, memory and versions, as plain data."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from penjing.core.nouns import Frozen

# Instruction sets that change which numeric kernels run, hence speed and rounding.
_TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "avx_vnni", "asimddp")
_TELLING_PACKAGES = (
    "penjing", "torch", "transformers", "tokenizers", "openvino", "nncf", "onnxruntime", "ctranslate2", "numpy",
)  # fmt: skip


class Machine(Frozen):
    """The hardware and software that a measurement belongs to.

    Attributes:
        processor: marketing name of the CPU.
        cores: logical cores this process may use.
        instructions: the instruction sets that matter to speed.
        memory_gib: physical memory in GiB.
        versions: package → version, for the packages that compute.
    """

    processor: str
    cores: int
    instructions: tuple[str, ...]
    memory_gib: float
    system: str
    python: str
    versions: dict[str, str]

    def __str__(self) -> str:
        special = ", ".join(self.instructions) or "no vector extensions known"
        return f"{self.processor}, {self.cores} cores ({special}), {self.memory_gib:.0f} GiB"


def describe_machine() -> Machine:
    """Look at the machine this process runs on."""
    processor, flags = _cpuinfo()
    return Machine(
        processor=processor,
        cores=usable_cores(),
        instructions=tuple(flag for flag in _TELLING_FLAGS if flag in flags),
        memory_gib=round(_memory_bytes() / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions={name: version for name in _TELLING_PACKAGES if (version := _version(name))},
    )


def usable_cores() -> int:
    """Logical cores this process may run on (affinity respected)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpuinfo() -> tuple[str, frozenset[str]]:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine(), frozenset()
    fields: dict[str, str] = {}
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags") or fields.get("Features") or ""
    return fields.get("model name", platform.machine()), frozenset(flags.split())


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
