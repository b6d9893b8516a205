"""Deletes expired results, for cron jobs that want no console command: the same as `backtest cleanup`."""

from __future__ import annotations

import sys

from backtest_pipeline.cli.main import main

if __name__ == "__main__":
    sys.argv[1:1] = ["cleanup"]
    main()
