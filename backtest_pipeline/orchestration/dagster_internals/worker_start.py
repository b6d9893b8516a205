"""Where a worker of Dagster's code server starts, imported by name so that a fork finds it loaded."""

from dagster._grpc import impl

__all__ = ["impl"]
