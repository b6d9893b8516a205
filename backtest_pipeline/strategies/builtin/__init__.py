"""The built-in strategies, one short file each."""
