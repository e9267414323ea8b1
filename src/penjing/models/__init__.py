"""Checkpoints in and out, and the packed forward pass over them."""
