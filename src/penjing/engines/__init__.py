"""What executes a bundle. One small protocol; which engine is best is measured, not assumed."""

from penjing.engines.base import Engine
from penjing.engines.registry import ENGINE_FILES, ENGINES, EngineName, open_engine

__all__ = ["ENGINES", "ENGINE_FILES", "Engine", "EngineName", "open_engine"]
