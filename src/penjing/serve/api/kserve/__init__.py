"""KServe's prediction protocol, version 1."""

from penjing.serve.api.kserve.dialect import KServe

__all__ = ["KServe"]
