"""Policy of tasks and attempts, each rule in one module."""
