"""What executes a bundle. Two small protocols; which engine is best is measured, not assumed.

An :class:`Engine` answers in one pass; a :class:`Generator` writes token by token.
"""

from penjing.engines.base import Engine
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
    "ENGINES", "ENGINE_FILES", "GENERATORS", "GENERATOR_FILES", "Continuation", "Engine", "EngineName",
    "GenerationOptions", "Generator", "GeneratorName", "Prompt", "Token", "open_engine", "open_generator",
]  # fmt: skip
