"""The closed registry of engines. Each is imported when it is first opened."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from penjing.core.errors import UsageError
from penjing.engines.base import Engine, Precision
from penjing.engines.generating import Generator

EngineName = Literal["onnxruntime", "openvino"]
ENGINES: tuple[EngineName, ...] = ("onnxruntime", "openvino")
GeneratorName = Literal["ctranslate2"]
GENERATORS: tuple[GeneratorName, ...] = ("ctranslate2",)
# What the model file is called that an engine opens; OpenVINO keeps the weights in a .bin beside it.
ENGINE_FILES: dict[EngineName, str] = {"onnxruntime": "model.onnx", "openvino": "model.xml"}
# The same of a generating engine, which opens the directory it lies in.
GENERATOR_FILES: dict[GeneratorName, str] = {"ctranslate2": "model.bin"}


def open_engine(name: str, file: Path, *, instances: int, threads: int = 1, precision: Precision = "fp32") -> Engine:
    """Open a model file.

    Args:
        name: one of ``ENGINES``.
        file: ``.onnx`` or OpenVINO ``.xml``.
        instances: concurrent calls to lay the engine out for.
        threads: threads a call may use. One thread and several instances is the usual best.
        precision: of the matrix products; an engine that would round to less on its own is told not to.

    Raises:
        UsageError: unknown name.
        ResourceError: the engine's package is not installed.
        CorruptBundleError: the engine cannot read the file, or it is not a graph of ours.
    """
    if name == "onnxruntime":
        from penjing.engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(file, instances=instances, threads=threads)
    if name == "openvino":
        from penjing.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(file, instances=instances, threads=threads, precision=precision)
    raise UsageError(f"engine {name!r}", expected=f"one of {', '.join(ENGINES)}")


def open_generator(
    name: str, file: Path, *, instances: int, threads: int = 1, precision: Precision = "fp32"
) -> Generator:
    """Open a model that writes.

    Args:
        name: one of ``GENERATORS``.
        file: ``model.bin``, with the rest of the model beside it.
        instances: concurrent calls to lay the engine out for; each has a thread of its own.
        threads: threads a call may use.
        precision: of the matrix products.

    Raises:
        UsageError: unknown name.
        ResourceError: the engine's package is not installed.
        CorruptBundleError: the engine cannot read the model.
    """
    if name == "ctranslate2":
        from penjing.engines.ctranslate2_engine import CTranslate2Engine

        return CTranslate2Engine(file.parent, instances=instances, threads=threads, precision=precision)
    raise UsageError(f"engine {name!r}", expected=f"one of {', '.join(GENERATORS)}")
