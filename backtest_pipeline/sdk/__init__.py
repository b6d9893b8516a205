"""Client over HTTP and GraphQL; needs no Dagster."""
