"""Candles on disk: importing, storing, loading and checking them."""
