"""Addresses of our own pages that others link to."""

from __future__ import annotations

RESULTS = "/results"
"""The table of all results; a task's id behind it is that task's page."""
