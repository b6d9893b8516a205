"""Imports or downloads candles, starts the pipeline, runs strategies and a sweep, says where all of it is."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SYMBOLS = "AAPL,FB,GOOG,IBM,MSFT"
STRATEGIES = ("sma_cross", "volume_long_candle", "volume_zone_breakout")
SWEEP = (
    "sma_cross",
    "--vary",
    "fast=5:50:5",
    "--vary",
    "slow=20:200:20",
    "--vary",
    "stop_loss_frac=none,0.05,0.1",
)


def main() -> None:
    """Runs the demo; the exit status is 0 when every backtest and the sweep completed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the pipeline running until Ctrl-C")
    parser.add_argument("--port", type=int, default=0, help="port of the web UI; 0: 3000, or any free one")
    parser.add_argument("--exchange", help="download from this one, as upbit, instead of the demo's candles")
    parser.add_argument("--symbols", default="", help="with --exchange: its markets, as KRW-BTC,KRW-ETH")
    parser.add_argument("--timeframe", default="1d", help="with --exchange: length of a bar")
    parser.add_argument("--since", help="with --exchange: from which day on; otherwise all there is")
    options = parser.parse_args()
    if bool(options.exchange) != bool(options.symbols):
        parser.error("--exchange and --symbols go together, as in --exchange upbit --symbols KRW-BTC")
    port = options.port or _free_port()
    os.environ.setdefault("DATA_ROOT", str(ROOT / "data"))
    os.environ.setdefault("DAGSTER_HOME", str(ROOT / ".demo" / "dagster_home"))
    os.environ["BACKTEST_URL"] = f"http://127.0.0.1:{port}"

    # Imported late, as they read the environment set above.
    from backtest_pipeline.local_service.service import LocalService  # noqa: PLC0415
    from backtest_pipeline.settings import get_settings  # noqa: PLC0415

    settings = get_settings()
    backtest = str(Path(sys.executable).with_name("backtest"))
    symbols = SYMBOLS
    if options.exchange:
        _say(f"downloading {options.timeframe} candles of {options.symbols} from {options.exchange}")
        asked = [
            "--exchange",
            options.exchange,
            "--symbols",
            options.symbols,
            "--timeframe",
            options.timeframe,
        ]
        asked += ["--since", options.since] if options.since else []
        told = subprocess.run(  # noqa: S603
            [backtest, "candles", "download", *asked, "--json"], check=True, stdout=subprocess.PIPE
        )
        symbols = ",".join(dict.fromkeys(report["symbol"] for report in json.loads(told.stdout)))
    else:
        _say("importing daily candles of five companies")
        subprocess.run([backtest, "candles", "demo"], check=True)  # noqa: S603
    _say("starting web server, daemon and code server")
    service = LocalService(settings, port=port)
    with service.running():
        candles = ["--symbols", symbols, "--timeframe", options.timeframe]
        for strategy in STRATEGIES:
            _say(f"{strategy} on {symbols}")
            subprocess.run([backtest, "run", strategy, *candles], check=True)  # noqa: S603
        _say(f"a sweep over windows and stops of {SWEEP[0]}")
        subprocess.run([backtest, "sweep", *SWEEP, *candles], check=True)  # noqa: S603
        _say(f"candles and results: {settings.data_root}")
        if not options.keep:
            _say("look at them in the web UI: scripts/demo --keep")
            return
        _say(f"web UI: {service.url} (Ctrl-C stops everything)")
        try:
            service.supervise(_say)
        except KeyboardInterrupt:
            _say("stopped")


def _say(line: str) -> None:
    print(f"\n==> {line}", flush=True)  # noqa: T201


def _free_port() -> int:
    for port in (3000, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("no free port")


if __name__ == "__main__":
    main()
