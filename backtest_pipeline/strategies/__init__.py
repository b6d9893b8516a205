"""Built-in strategies, one short file each, and their registry."""
