"""What executes a bundle. One small protocol; which engine is best is measured, not assumed."""

from penjing.engines.base import Engine
from penjing.engines.registry import ENGINES, EngineName, open_engine

__all__ = ["ENGINES", "Engine", "EngineName", "open_engine"]
