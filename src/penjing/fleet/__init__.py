"""Many replicas behind one address: which one a request goes to, and what happens when one fails. Loads no torch."""
