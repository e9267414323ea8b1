"""HTTP towards the replicas: kept connections, each a small protocol above httptools."""
