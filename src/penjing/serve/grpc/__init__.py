"""gRPC: TensorFlow Serving's services, the Open Inference Protocol's, health and reflection.

Transports as those in :mod:`penjing.serve.api`: they translate, on the same data plane. Loaded only where
a recipe asks for a gRPC port, so that a server without one needs no gRPC.
"""
