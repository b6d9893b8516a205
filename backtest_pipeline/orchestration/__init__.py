"""Dagster: the only rooms that import it are here and in `definitions`."""
