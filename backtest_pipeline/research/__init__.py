"""Many backtests as one computation: searches over spaces of values, trial by trial."""
