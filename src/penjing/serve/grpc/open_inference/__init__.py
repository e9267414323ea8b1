"""The Open Inference Protocol, version 2, over gRPC, with Triton's extensions."""
