"""What candles and results both use: places, whole files, locks."""
