"""Smaller and faster forms of a model."""
