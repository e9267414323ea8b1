"""From a checkpoint to an engine's file, with proof that the answers are the same."""
