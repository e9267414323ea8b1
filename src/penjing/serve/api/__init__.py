"""Transports: each dialect translates between its wire form and the data plane, and nothing else."""
