"""The demo candles: five stocks by day, public domain, from the package `bokeh_sampledata`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from backtest_pipeline.model.errors import BacktestError

if TYPE_CHECKING:
    from backtest_pipeline.candles.importer import ImportReport
    from backtest_pipeline.candles.store import CandleStore

DEMO_SYMBOLS = ("AAPL", "IBM", "MSFT", "GOOG", "FB")


class DemoMissing(BacktestError):
    """The package that holds the demo candles is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "the demo candles come with the extra `demo`, which is not installed; "
            "run `pip install 'backtest-pipeline[demo]'`"
        )


def import_demo(store: CandleStore) -> list[ImportReport]:
    """Imports daily candles of AAPL, IBM and MSFT (2000 to 2013), GOOG (from 2004) and FB (from 2012).

    Prices are adjusted for splits and dividends. A second call changes nothing.

    Raises:
        DemoMissing: `bokeh_sampledata` is not installed.
    """
    import pyarrow as pa  # noqa: PLC0415  `backtest --help` need not wait for pyarrow

    from backtest_pipeline.candles.importer import import_table  # noqa: PLC0415  as above

    try:
        stocks = importlib.import_module("bokeh_sampledata.stocks")
    except ImportError as error:
        raise DemoMissing from error
    return [
        import_table(
            store,
            pa.table(getattr(stocks, symbol)),
            symbol,
            "1d",
            adjust=True,
            source=f"bokeh_sampledata.stocks.{symbol}",
        )
        for symbol in DEMO_SYMBOLS
    ]
