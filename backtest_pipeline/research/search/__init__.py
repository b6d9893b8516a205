"""How a sweep chooses its combinations."""
