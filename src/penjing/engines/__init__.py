"""What executes a bundle. Two small protocols; which engine is best is measured, not assumed.

An :class:`Engine` answers in one pass; a :class:`Generator` writes token by token. A :class:`CascadeEngine` is an
engine of engines.
"""

from penjing.engines.base import Engine
from penjing.engines.cascade import CascadeEngine, Stage, parts_of, sureness
from penjing.engines.generating import Continuation, GenerationOptions, Generator, Prompt, Token
from penjing.engines.registry import (
    ENGINE_FILES,
    ENGINES,
    GENERATOR_FILES,
    GENERATORS,
    EngineName,
    GeneratorName,
    open_engine,
    open_generator,
)

__all__ = [
    "ENGINES", "ENGINE_FILES", "GENERATORS", "GENERATOR_FILES", "CascadeEngine", "Continuation", "Engine", "EngineName",
    "GenerationOptions", "Generator", "GeneratorName", "Prompt", "Stage", "Token", "open_engine", "open_generator",
    "parts_of", "sureness",
]  # fmt: skip
