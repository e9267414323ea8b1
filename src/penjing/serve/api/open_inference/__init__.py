"""The Open Inference Protocol, version 2, over REST, with Triton's extensions."""

from penjing.serve.api.open_inference.dialect import OpenInference

__all__ = ["OpenInference"]
