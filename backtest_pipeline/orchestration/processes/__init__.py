"""Entry points of the service's processes."""
