"""Our own pages beside Dagster's."""
