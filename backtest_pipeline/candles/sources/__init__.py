"""Candles from where they are made: exchanges, and folders of files that grow."""
