"""Shared vocabulary; no files, no network, no computation beyond checks."""
