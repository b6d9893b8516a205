"""Metrics of accounts and trades."""
