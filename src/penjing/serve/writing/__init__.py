"""Models that write, served: from texts to prompts, a lane that shares the engine, and text while it comes."""
